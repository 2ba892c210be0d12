-- name: remember_settled
-- What was settled before the tuples are read, and at which generation.
create temporary table settled as
select permission.entry_id, permission.generation
from diary.entry_permission as permission
where permission.applied_generation >= permission.generation and permission.refusal is null

-- name: create_present
create temporary table present (
    object text not null,
    relation text not null,
    subject_id text,
    subject_namespace text,
    subject_object text,
    subject_relation text
)

-- name: copy_present
copy present (
    object, relation, subject_id, subject_namespace, subject_object, subject_relation
)
from stdin

-- name: find_drift
-- Entries that were settled all the while, or that no row knows: what the rows want against what
-- the backend has. Whether a share has expired is what the sweep has written, no clock.
create temporary table drift as
with quiet as (
    select permission.entry_id, permission.owner, permission.deleted_at
    from settled
    inner join diary.entry_permission as permission
        on permission.entry_id = settled.entry_id and permission.generation = settled.generation
),
share as (
    select s.entry_id, s.grantee
    from diary.share as s
    where
        not s.expired
        and (
            exists (select from diary.agent as a where a.name = s.grantee)
            or exists (select from diary.agent_group as g where 'group:' || g.name = s.grantee)
        )
),
granted as (
    select quiet.entry_id::text as object, 'owner' as relation, quiet.owner as grantee
    from quiet
    where quiet.deleted_at is null
    union all
    select quiet.entry_id::text, 'viewer', share.grantee
    from quiet
    inner join share on share.entry_id = quiet.entry_id
    where quiet.deleted_at is null
),
held as (
    select distinct
        present.object,
        present.relation,
        case
            -- Only a set of members is a group, whatever an agent is called.
            when starts_with(present.subject_id, 'group:') then '?' || present.subject_id
            when present.subject_id is not null then present.subject_id
            when
                present.subject_namespace = 'Group' and present.subject_relation = 'member'
                then 'group:' || present.subject_object
            else
                '?' || concat_ws(
                    '?',
                    present.subject_namespace, present.subject_object, present.subject_relation
                )
        end as grantee
    from present
)
select
    coalesce(granted.object, held.object) as object,
    held.object is null as missing
from granted
full join held
    on
        held.object = granted.object
        and held.relation = granted.relation
        and held.grantee = granted.grantee
where
    held.object is null
    or (
        granted.object is null
        and (
            held.object in (select quiet.entry_id::text from quiet)
            or not exists (
                select
                from diary.entry_permission as permission
                where permission.entry_id::text = held.object
            )
        )
    )

-- name: count_drift
select
    count(*) filter (where drift.missing)::integer as missing,
    count(*) filter (where not drift.missing)::integer as stray
from drift

-- name: list_objects
select distinct drift.object
from drift
where %(after)s::text is null or drift.object > %(after)s
order by drift.object
limit %(limit)s

-- name: list_tuples
select distinct
    'DiaryEntry' as namespace,
    present.object,
    present.relation,
    present.subject_id,
    present.subject_namespace,
    present.subject_object,
    present.subject_relation
from present
where present.object = %(object)s
