-- name: count_by_type
-- Each type's entries, and how many of them nothing that the owner may see supersedes; the most
-- frequent first.
select
    e.type,
    count(*)::integer as entries,
    count(*) filter (where superseded.id is null)::integer as current
from diary.entry as e
left join diary.entry as superseded
    on
        superseded.owner = %(owner)s
        and superseded.superseded_by is not null
        and superseded.id = e.id
        and exists (
            select
            from diary.newer_seen_by(
                superseded.superseded_by, %(diary)s, %(owner)s, %(grantees)s
            )
        )
where
    -- include: is_reflected_on
group by e.type
order by count(*) desc, e.type

-- name: count_by_tag
select
    tag.name as tag,
    count(*)::integer as count,
    bool_or(e.owner <> %(owner)s) as is_others
from diary.entry as e
cross join lateral unnest(e.tags) as tag (name)
where
    -- include: is_reflected_on
group by tag.name
order by count(*) desc, tag.name
limit %(limit)s

-- name: list_newest
-- Entries that nothing which may be seen supersedes, the newest first.
select e.id, nullif(e.owner, %(owner)s) as owner, e.type, e.date, e.importance, e.title, left(e.content, %(opening)s) as opening
from diary.entry as e
where
    -- include: is_reflected_on
    and -- include: is_current
    and (%(min_importance)s::double precision is null or e.importance >= %(min_importance)s)
order by e.date desc, e.id
limit %(limit)s

-- name: list_most_important
-- Entries that nothing which may be seen supersedes, the most important first, the newer of two alike first.
select e.id, nullif(e.owner, %(owner)s) as owner, e.type, e.date, e.importance, e.title, left(e.content, %(opening)s) as opening
from diary.entry as e
where
    -- include: is_reflected_on
    and -- include: is_current
order by e.importance desc, e.date desc, e.id
limit %(limit)s

-- name: list_corrections
-- Corrections that stand, newest first, each followed by what it supersedes, step by step.
with recursive head as (
    select e.id, e.date
    from diary.entry as e
    where
        -- include: is_reflected_on
        and (
            e.type = 'correction'
            or e.id in (
                select older.superseded_by
                from diary.entry as older
                where older.owner = %(owner)s and older.superseded_by is not null
            )
        )
        and -- include: is_current
        and (%(min_importance)s::double precision is null or e.importance >= %(min_importance)s)
    order by e.date desc, e.id
    limit %(limit)s
),
step as (
    select
        head.id as head_id,
        head.date as head_date,
        0 as depth,
        head.id
    from head
    union all
    select step.head_id, step.head_date, step.depth + 1, older.id
    from step
    inner join diary.entry as older
        on older.owner = %(owner)s and older.superseded_by = step.id
    where step.depth < %(depth)s
)
select
    step.head_id, e.id, nullif(e.owner, %(owner)s) as owner, e.type, e.date, e.importance, e.title,
    left(e.content, %(opening)s) as opening
from step
inner join diary.entry as e on e.owner = %(owner)s and e.id = step.id
order by step.head_date desc, step.head_id, step.depth, e.date desc, e.id

-- name: count_by_day
-- How many entries of each type there are of each day, the earliest first.
select
    (e.date at time zone 'utc')::date as day,
    e.type,
    count(*)::integer as entries
from diary.entry as e
where e.owner = %(owner)s
group by 1, 2
order by 1, 2

-- name: list_open_problems_by_day
-- Of each day on which that changed, by how much the number of open problems did.
select
    (change.moment at time zone 'utc')::date as day,
    sum(change.opened)::integer as opened
from (
    select
        e.date as moment,
        1 as opened
    from diary.entry as e
    where e.owner = %(owner)s and e.type = 'problem'
    union all
    select greatest(newer.date, e.date), -1
    from diary.entry as e
    cross join lateral
        diary.newer_seen_by(e.superseded_by, %(diary)s, %(owner)s, %(grantees)s) as newer
    where e.owner = %(owner)s and e.type = 'problem'
) as change
group by 1
order by 1
