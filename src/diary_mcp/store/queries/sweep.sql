-- name: lock_sweep
-- One process sweeps at a time; the others leave it to that one.
select pg_try_advisory_xact_lock(hashtextextended('diary-mcp sweep', 0))

-- name: list_forgotten
-- Entries and diaries that the permission backend does not agree with and that nothing waits to settle: their
-- workflow failed, was cancelled or is gone. A young change still has its workflow coming.
with unfinished as materialized (
    select workflow.workflow_uuid
    from dbos.workflow_status as workflow
    where
        workflow.queue_name = any(%(queues)s)
        and workflow.status in ('ENQUEUED', 'PENDING')
        and workflow.serialization = 'portable_json'
    union all
    -- By itself, because DBOS has these in another index.
    select workflow.workflow_uuid
    from dbos.workflow_status as workflow
    where
        workflow.queue_name = any(%(queues)s)
        and workflow.status = 'DELAYED'
        and workflow.serialization = 'portable_json'
),
waiting as materialized (
    select jsonb_path_query(input.inputs::jsonb, '$.positionalArgs[0][*]') #>> '{}' as id
    from unfinished
    inner join dbos.workflow_input as input on input.workflow_uuid = unfinished.workflow_uuid
)
select
    permission.id,
    permission.namespace,
    permission.generation,
    permission.deleted_at is not null as deleted
from diary.relation_state as permission
where
    permission.applied_generation < permission.generation
    and (
        permission.changed_at < statement_timestamp() - case
            when permission.refusal is null then %(deadline)s::interval
            else %(refusal_patience)s::interval
        end
        -- Of the future, as a clock that was set back leaves it.
        or permission.changed_at > statement_timestamp()
    )
    and not exists (
        select from waiting where waiting.id = permission.id::text
    )
order by permission.namespace, deleted, permission.id
limit %(limit)s

-- name: end_superseded
-- Workflows of an entry run one at a poll, and each settles what the rows want when it runs. Where
-- many wait, the oldest do for all: they have not begun, and every change whose workflow is seen here
-- was committed before. They are also what DBOS claims next, so it does not meet these locks. One of
-- several entries stands for none of them, and what only a newer version knows is left alone.
with crowded as materialized (
    select workflow.queue_name, workflow.queue_partition_key
    from dbos.workflow_status as workflow
    where
        workflow.queue_name = any(%(queues)s)
        and workflow.status = 'ENQUEUED'
        and workflow.queue_partition_key is not null
    group by workflow.queue_name, workflow.queue_partition_key
    having count(*) > %(kept)s
),
surplus as materialized (
    select later.workflow_uuid, later.is_alone
    from crowded
    cross join lateral (
        select
            workflow.workflow_uuid,
            (
                select
                    input.inputs::jsonb #> '{positionalArgs,0}'
                    = jsonb_build_array(workflow.queue_partition_key)
                from dbos.workflow_input as input
                where input.workflow_uuid = workflow.workflow_uuid
            ) as is_alone
        from dbos.workflow_status as workflow
        where
            workflow.queue_name = crowded.queue_name
            and workflow.status = 'ENQUEUED'
            and workflow.queue_partition_key = crowded.queue_partition_key
            and workflow.name = any(%(workflows)s)
            and workflow.serialization = 'portable_json'
        order by workflow.priority, workflow.created_at, workflow.workflow_uuid
        offset %(kept)s
    ) as later
),
superseded as materialized (
    select workflow.workflow_uuid
    from dbos.workflow_status as workflow
    where
        workflow.workflow_uuid in (
            select surplus.workflow_uuid from surplus where surplus.is_alone
        )
        and workflow.status = 'ENQUEUED'
    limit %(limit)s
    for update skip locked
)
update dbos.workflow_status
-- include: as_if_it_had_run
from superseded
where workflow_status.workflow_uuid = superseded.workflow_uuid
returning workflow_status.workflow_uuid

-- name: place_entries
-- Entries that were in a `main` before it had a row name it from now on, so that the permission
-- backend knows by itself who may read them. Those that are being changed wait for the next sweep.
with unplaced as materialized (
    select e.id, d.id as diary_id
    from diary.diary as d
    inner join diary.entry as e on e.owner = d.owner
    inner join diary.entry_permission as permission on permission.entry_id = e.id
    where d.name = 'main' and not d.is_placed and e.diary_id is null
    order by e.id
    limit %(limit)s
    for update of permission skip locked
),
placed as (
    update diary.entry
    set diary_id = unplaced.diary_id
    from unplaced
    where entry.id = unplaced.id
    returning entry.id
)
update diary.entry_permission as permission
set generation = permission.generation + 1, changed_at = clock_timestamp(), refusal = null
from placed
where permission.entry_id = placed.id
returning permission.entry_id as id, permission.generation

-- name: mark_placed
-- Where no entry of the owner's is left to be placed.
update diary.diary as d
set is_placed = true
where
    d.name = 'main'
    and not d.is_placed
    and not exists (select from diary.entry as e where e.owner = d.owner and e.diary_id is null)
