-- name: announce
-- The sign of life: a lock that goes with the connection, however the process ends. Waits where
-- PostgreSQL has not noticed yet that an earlier connection of this executor is gone.
select pg_advisory_lock(hashtextextended('diary-mcp executor ' || %(executor_id)s::text, 0))

-- name: list_silent
-- Executors that own running work and give no sign of life at this moment.
with owner as materialized (
    select distinct workflow.executor_id
    from dbos.workflow_status as workflow
    where
        workflow.queue_name = any(%(queues)s)
        and workflow.status = 'PENDING'
        and workflow.executor_id <> %(executor_id)s
)
select owner.executor_id
from owner
where pg_try_advisory_xact_lock(hashtextextended('diary-mcp executor ' || owner.executor_id, 0))

-- name: take_over
-- Back on the queue, with the columns that DBOS itself sets when it recovers a workflow. The locks
-- are held to the end, so an executor that comes back meanwhile waits for its own.
with dead as materialized (
    select executor.id
    from unnest(%(executor_ids)s::text []) as executor (id)
    where pg_try_advisory_xact_lock(hashtextextended('diary-mcp executor ' || executor.id, 0))
)
update dbos.workflow_status
set
    status = 'ENQUEUED',
    owner_xid = null,
    started_at_epoch_ms = null,
    updated_at = (extract(epoch from clock_timestamp()) * 1000)::bigint
where
    queue_name = any(%(queues)s)
    and status = 'PENDING'
    and executor_id in (select dead.id from dead)
returning workflow_uuid

-- name: hand_back
-- What this executor owns but does not run (any more) goes back on the queue.
update dbos.workflow_status
set
    status = 'ENQUEUED',
    owner_xid = null,
    started_at_epoch_ms = null,
    updated_at = (extract(epoch from clock_timestamp()) * 1000)::bigint
where
    queue_name = any(%(queues)s)
    and status = 'PENDING'
    and executor_id = %(executor_id)s
    and workflow_uuid <> all(%(running)s::text [])
    and started_at_epoch_ms <= %(started_by_ms)s
returning workflow_uuid

-- name: pace
-- Workflows of one entry run one after the other, one at a poll: many changes of an entry, or what
-- an outage has left, would take long at the pace of an idle queue. Where every entry is settled,
-- what waits is account-keeping, and must not compete with the calls that have caused it. DBOS
-- reads the row before every poll.
update dbos.queues
set
    polling_interval_sec = pace.interval_s,
    updated_at = (extract(epoch from clock_timestamp()) * 1000)::bigint
from (
    select
        case
            when exists (
                select from diary.entry_permission as permission
                where
                    permission.applied_generation < permission.generation
                    and permission.refusal is null
                    and permission.changed_at < clock_timestamp() - %(patience)s::interval
            )
            or exists (
                select from dbos.workflow_status as workflow
                where
                    workflow.queue_name = %(queue)s
                    and workflow.status = 'ENQUEUED'
                    and workflow.created_at
                    < extract(epoch from clock_timestamp() - %(account_patience)s::interval) * 1000
            ) then %(busy_s)s::double precision
            else %(idle_s)s::double precision
        end as interval_s
) as pace
where queues.name = %(queue)s and queues.polling_interval_sec <> pace.interval_s
returning queues.name
