-- name: remember_settled
-- What was settled before the tuples are read, and at which generation.
create temporary table settled as
select permission.id, permission.generation
from diary.relation_state as permission
where permission.applied_generation >= permission.generation and permission.refusal is null

-- name: create_present
create temporary table present (
    namespace text not null,
    object text not null,
    relation text not null,
    subject_id text,
    subject_namespace text,
    subject_object text,
    subject_relation text
)

-- name: copy_present
copy present (
    namespace, object, relation, subject_id, subject_namespace, subject_object, subject_relation
)
from stdin

-- name: find_drift
-- Entries and diaries that were settled all the while, or that no row knows: what the rows want
-- against what the backend has. Whether a share has expired is what the sweep has written, no clock.
create temporary table drift as
with quiet as (
    select permission.id, permission.namespace
    from settled
    inner join diary.relation_state as permission
        on permission.id = settled.id and permission.generation = settled.generation
    where permission.deleted_at is null
),
known as (
    select a.name from diary.agent as a
    union all
    select 'group:' || g.name from diary.agent_group as g
),
granted as (
    select quiet.id, quiet.namespace, 'owner' as relation, permission.owner as grantee
    from quiet
    inner join diary.entry_permission as permission on permission.entry_id = quiet.id
    where quiet.namespace = 'DiaryEntry'
    union all
    select quiet.id, quiet.namespace, 'viewer', s.grantee
    from quiet
    inner join diary.share as s on s.entry_id = quiet.id
    where quiet.namespace = 'DiaryEntry' and not s.expired and s.grantee in (select known.name from known)
    union all
    select quiet.id, quiet.namespace, 'parent', 'diary:' || e.diary_id
    from quiet
    inner join diary.entry as e on e.id = quiet.id
    where quiet.namespace = 'DiaryEntry' and e.diary_id is not null
    union all
    select quiet.id, quiet.namespace, 'owner', d.owner
    from quiet
    inner join diary.diary as d on d.id = quiet.id
    where quiet.namespace = 'Diary'
    union all
    select quiet.id, quiet.namespace, r.role, r.grantee
    from quiet
    inner join diary.diary as d on d.id = quiet.id
    inner join diary.diary_role as r on r.diary_id = d.id
    where
        quiet.namespace = 'Diary'
        and not r.expired
        and r.grantee <> d.owner
        and r.grantee in (select known.name from known)
),
held as (
    select distinct
        present.namespace,
        present.object,
        present.relation,
        case
            -- Only a set of members is a group, and only a parent a diary, whatever an agent is
            -- called.
            when starts_with(present.subject_id, 'group:') or starts_with(present.subject_id, 'diary:')
                then '?' || present.subject_id
            when present.subject_id is not null then present.subject_id
            when
                present.subject_namespace = 'Group' and present.subject_relation = 'member'
                then 'group:' || present.subject_object
            when
                present.subject_namespace = 'Diary' and present.subject_relation = ''
                then 'diary:' || present.subject_object
            else
                '?' || concat_ws(
                    '?',
                    present.subject_namespace, present.subject_object, present.subject_relation
                )
        end as grantee
    from present
)
select
    coalesce(granted.namespace, held.namespace) as namespace,
    coalesce(granted.id::text, held.object) as object,
    coalesce(granted.relation, held.relation) as relation,
    coalesce(granted.grantee, held.grantee) as grantee,
    held.object is null as missing
from granted
full join held
    on
        held.namespace = granted.namespace
        and held.object = granted.id::text
        and held.relation = granted.relation
        and held.grantee = granted.grantee
where
    held.object is null
    or (
        granted.id is null
        and (
            (held.namespace, held.object) in (
                select permission.namespace, permission.id::text
                from settled
                inner join diary.relation_state as permission
                    on permission.id = settled.id and permission.generation = settled.generation
            )
            or not exists (
                select
                from diary.relation_state as permission
                where permission.namespace = held.namespace and permission.id::text = held.object
            )
        )
    )

-- name: count_drift
select
    count(*) filter (where drift.missing)::integer as missing,
    count(*) filter (where not drift.missing)::integer as stray
from drift

-- name: list_grants
-- Who is let in by what is missing. An owner needs no tuple.
select drift.namespace, drift.object, drift.relation, drift.grantee
from drift
where
    drift.missing
    and drift.relation in ('viewer', 'writer')
    and (
        %(after_object)s::text is null
        or (drift.object, drift.relation, drift.grantee)
        > (%(after_object)s, %(after_relation)s::text, %(after_grantee)s::text)
    )
order by drift.object, drift.relation, drift.grantee
limit %(limit)s

-- name: list_objects
select distinct drift.object
from drift
where %(after)s::text is null or drift.object > %(after)s
order by drift.object
limit %(limit)s

-- name: list_tuples
select distinct
    present.namespace,
    present.object,
    present.relation,
    present.subject_id,
    present.subject_namespace,
    present.subject_object,
    present.subject_relation
from present
where present.object = %(object)s

-- name: list_misplaced
-- Tuples that name an entry in the namespace of diaries, or a diary in that of entries.
select distinct
    present.namespace,
    present.object,
    present.relation,
    present.subject_id,
    present.subject_namespace,
    present.subject_object,
    present.subject_relation
from present
inner join diary.relation_state as permission on permission.id::text = present.object
where
    present.object = any(%(objects)s)
    and permission.namespace in ('DiaryEntry', 'Diary')
    and present.namespace <> permission.namespace
