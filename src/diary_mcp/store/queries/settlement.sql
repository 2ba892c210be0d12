-- name: lock_relations
-- Held to the end of the transaction. The keys come sorted, so that two batches cannot wait for
-- each other in a circle.
select pg_advisory_xact_lock(key)
from unnest(%(keys)s::bigint []) as key

-- name: check_transaction
-- Fails where the transaction, and with it its locks, is gone.
select 1

-- name: read_wanted
-- One statement, hence one snapshot: the generations belong to exactly these shares. Taken after
-- the lock, so it is no older than what the previous settling wrote. Rows alone and no clock: that
-- a share has expired is a change of its row like any other, which the sweep makes.
select
    permission.entry_id as id,
    'DiaryEntry' as namespace,
    permission.generation,
    permission.applied_generation >= permission.generation
    and permission.refusal is null as applied,
    permission.deleted_at is null as live,
    permission.owner,
    e.diary_id as parent,
    '{}'::text [] as writers,
    array(
        select s.grantee
        from diary.share as s
        where
            s.entry_id = permission.entry_id
            and not s.expired
            and (
                exists (select from diary.agent as a where a.name = s.grantee)
                or exists (
                    select from diary.agent_group as g where 'group:' || g.name = s.grantee
                )
            )
    ) as viewers
from diary.entry_permission as permission
left join diary.entry as e on e.id = permission.entry_id
where permission.entry_id = any(%(ids)s)
union all
select
    permission.diary_id,
    'Diary',
    permission.generation,
    permission.applied_generation >= permission.generation and permission.refusal is null,
    permission.deleted_at is null,
    d.owner,
    null,
    coalesce(array_agg(held.grantee) filter (where held.role = 'writer'), '{}'),
    coalesce(array_agg(held.grantee) filter (where held.role = 'viewer'), '{}')
from diary.diary_permission as permission
left join diary.diary as d on d.id = permission.diary_id
left join lateral (
    select r.grantee, r.role
    from diary.diary_role as r
    where
        r.diary_id = permission.diary_id
        and not r.expired
        and r.grantee <> d.owner
        and (
            exists (select from diary.agent as a where a.name = r.grantee)
            or exists (
                select from diary.agent_group as g where 'group:' || g.name = r.grantee
            )
        )
) as held on true
where permission.diary_id = any(%(ids)s)
group by
    permission.diary_id,
    permission.generation,
    permission.applied_generation,
    permission.refusal,
    permission.deleted_at,
    d.owner
union all
select r.id, 'Group', r.generation, false, false, r.grantee, null, '{}', '{}'
from diary.removal as r
where r.id = any(%(ids)s)

-- name: mark_applied
-- Never back to an older generation; what is right already is not written again. Gives how many
-- seconds ago each was changed last.
with settled as (
    select each.id, each.generation
    from unnest(%(ids)s::uuid [], %(generations)s::bigint []) as each (id, generation)
),
entry as (
    update diary.entry_permission as permission
    set
        applied_generation = greatest(permission.applied_generation, settled.generation),
        placed_generation = greatest(permission.applied_generation, settled.generation),
        refusal = null
    from settled
    where
        permission.entry_id = settled.id
        and (
            permission.applied_generation < settled.generation
            or permission.refusal is not null
        )
    returning permission.changed_at
),
diary as (
    update diary.diary_permission as permission
    set
        applied_generation = greatest(permission.applied_generation, settled.generation),
        refusal = null
    from settled
    where
        permission.diary_id = settled.id
        and (
            permission.applied_generation < settled.generation
            or permission.refusal is not null
        )
    returning permission.changed_at
),
removal as (
    update diary.removal as r
    set applied_generation = settled.generation, refusal = null
    from settled
    where r.id = settled.id
    returning r.changed_at
)
select extract(epoch from clock_timestamp() - applied.changed_at)::double precision
from (
    select entry.changed_at from entry
    union all
    select diary.changed_at from diary
    union all
    select removal.changed_at from removal
) as applied

-- name: remove_tombstones
-- The permission backend has forgotten these; now so do we.
with entry as (
    delete from diary.entry_permission
    where
        entry_id = any(%(ids)s)
        and deleted_at is not null
        and applied_generation >= generation
),
removal as (
    delete from diary.removal
    where id = any(%(ids)s) and applied_generation >= generation
)
delete from diary.diary_permission
where
    diary_id = any(%(ids)s)
    and deleted_at is not null
    and applied_generation >= generation

-- name: mark_refused
-- The time lets the sweep try what was refused again, but not soon.
with entry as (
    update diary.entry_permission
    set refusal = %(reason)s, changed_at = clock_timestamp()
    where entry_id = any(%(ids)s)
),
removal as (
    update diary.removal
    set refusal = %(reason)s, changed_at = clock_timestamp()
    where id = any(%(ids)s)
)
update diary.diary_permission
set refusal = %(reason)s, changed_at = clock_timestamp()
where diary_id = any(%(ids)s)

-- name: list_unsettled
-- What the permission backend does not agree with or has refused, in the order of the ids.
select permission.id
from diary.relation_state as permission
where
    (permission.applied_generation < permission.generation or permission.refusal is not null)
    and (%(after)s::uuid is null or permission.id > %(after)s)
order by permission.id
limit %(limit)s

-- name: list_overdue
-- What has waited for so long, and what a clock that was set back has left in the future.
select permission.id
from diary.relation_state as permission
where
    permission.applied_generation < permission.generation
    and permission.refusal is null
    and (
        permission.changed_at < statement_timestamp() - %(overdue)s::interval
        or permission.changed_at > statement_timestamp()
    )
order by random()
limit %(limit)s

-- name: count_backlog
-- What the permission backend does not agree with yet, what it has refused, and what has expired, or
-- was taken for that under a wrong clock, and waits for a sweep.
select
    (
        select count(*)
        from diary.relation_state as permission
        where permission.applied_generation < permission.generation and permission.refusal is null
    )::integer as pending,
    coalesce(
        (
            -- A clock that was set back has left changes of the future, which wait as well.
            select max(greatest(now() - permission.changed_at, permission.changed_at - now()))
            from diary.relation_state as permission
            where
                permission.applied_generation < permission.generation
                and permission.refusal is null
        ),
        interval '0'
    ) as longest_wait,
    (
        select count(*)
        from diary.relation_state as permission
        where permission.refusal is not null
    )::integer as refused,
    (
        select count(*)
        from (
            select from diary.share as s
            where s.expires_at < statement_timestamp() - %(overdue)s::interval and not s.expired
            union all
            select from diary.share as s
            where s.expires_at > statement_timestamp() + %(overdue)s::interval and s.expired
            union all
            select from diary.diary_role as r
            where r.expires_at < statement_timestamp() - %(overdue)s::interval and not r.expired
            union all
            select from diary.diary_role as r
            where r.expires_at > statement_timestamp() + %(overdue)s::interval and r.expired
        ) as expiry
    )::integer as expiries

-- name: get_identity
select identity.id
from diary.identity

-- name: list_waiting
-- Workflows of one entry each that DBOS would claim next, of entries whose last change is recorded as
-- settled. What another executor runs for an entry may still write, and the next one has to look at
-- that. One that goes on with a trace runs, so that its span is there.
with oldest as materialized (
    select
        workflow.workflow_uuid,
        workflow.queue_partition_key as partition,
        -- Whatever else may stand there is nothing to fail of.
        case
            when workflow.queue_partition_key ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'
                then workflow.queue_partition_key::uuid
        end as entry_id
    from dbos.workflow_status as workflow
    where
        workflow.queue_name = %(queue)s
        and workflow.status = 'ENQUEUED'
        and workflow.name = any(%(workflows)s)
        and workflow.serialization = 'portable_json'
    order by workflow.priority, workflow.created_at
    limit %(limit)s
)
select oldest.workflow_uuid as workflow_id, oldest.entry_id
from oldest
inner join diary.entry_permission as permission on permission.entry_id = oldest.entry_id
inner join dbos.workflow_input as input on input.workflow_uuid = oldest.workflow_uuid
where
    permission.applied_generation >= permission.generation
    and permission.refusal is null
    and permission.deleted_at is null
    and input.inputs like '{"positionalArgs" : [["' || oldest.partition || '"],%%'
    and input.inputs !~ '"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}"\]'
    and not exists (
        select
        from dbos.workflow_status as running
        where
            running.queue_name = %(queue)s
            and running.status = 'PENDING'
            and running.queue_partition_key = oldest.partition
    )

-- name: end_waiting
-- Those that nobody has begun meanwhile.
with waiting as materialized (
    select workflow.workflow_uuid
    from dbos.workflow_status as workflow
    where workflow.workflow_uuid = any(%(ids)s) and workflow.status = 'ENQUEUED'
    for update skip locked
)
update dbos.workflow_status
-- include: as_if_it_had_run
from waiting
where workflow_status.workflow_uuid = waiting.workflow_uuid
