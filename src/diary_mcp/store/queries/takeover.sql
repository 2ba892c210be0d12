-- name: is_work_there
-- Whether there is any workflow to be run, or that somebody runs: it may have to be taken over. What
-- was put off until a moment that has come waits for nobody but DBOS. And whether anything is not
-- settled.
select
    exists (
        select
        from unnest(%(queues)s::text []) as queue (name)
        cross join lateral (
            select
            from dbos.workflow_status as workflow
            where
                workflow.queue_name = queue.name
                and workflow.status = any(array['ENQUEUED', 'PENDING'])
            limit 1
        ) as found
    )
    or exists (
        select
        from dbos.workflow_status as workflow
        where
            workflow.status = 'DELAYED'
            and workflow.delay_until_epoch_ms <= extract(epoch from now()) * 1000
            and workflow.queue_name = any(%(queues)s)
    ) as is_work_there,
    exists (
        select
        from diary.relation_state as permission
        where permission.applied_generation < permission.generation and permission.refusal is null
    ) as is_unsettled

-- name: stand_by
-- The lock of the one whose process runs workflows, which goes with the connection. Whether there is
-- anything that one has to do. And whether an entry or a diary was not settled, a workflow not run, or
-- an expiry not carried out, for longer than it takes while somebody does that; no matter which way a
-- clock was set. Workflows of settled entries may have been left to wait in a burst.
with unsettled as materialized (
    select greatest(now() - min(permission.changed_at), max(permission.changed_at) - now()) as age
    from diary.relation_state as permission
    where permission.applied_generation < permission.generation and permission.refusal is null
),
waiting as materialized (
    select
        abs(extract(epoch from now()) * 1000 - oldest.created_at) as age_ms,
        case
            when queue.name = %(patient_queue)s
                then %(burst_patience)s::interval + %(very_late)s::interval
            else %(very_late)s::interval
        end as very_late
    from unnest(%(queues)s::text []) as queue (name)
    cross join lateral (
        select workflow.created_at
        from dbos.workflow_status as workflow
        where workflow.queue_name = queue.name and workflow.status = 'ENQUEUED'
        order by workflow.priority, workflow.created_at
        limit 1
    ) as oldest
)
select
    pg_try_advisory_lock(hashtextextended('diary-mcp workflows', 0)) as is_first,
    (select unsettled.age is not null from unsettled)
    or exists (select from waiting) as is_work_there,
    (select unsettled.age is not null from unsettled) as is_unsettled,
    coalesce((select unsettled.age > %(late)s::interval from unsettled), false)
    or exists (
        select
        from waiting
        where waiting.age_ms > extract(epoch from waiting.very_late) * 1000
    )
    or exists (
        select
        from diary.share as s
        where s.expires_at < statement_timestamp() - %(very_late)s::interval and not s.expired
    )
    or exists (
        select
        from diary.share as s
        where s.expires_at > statement_timestamp() + %(very_late)s::interval and s.expired
    )
    or exists (
        select
        from diary.diary_role as r
        where r.expires_at < statement_timestamp() - %(very_late)s::interval and not r.expired
    )
    or exists (
        select
        from diary.diary_role as r
        where r.expires_at > statement_timestamp() + %(very_late)s::interval and r.expired
    ) as is_work_waiting

-- name: wait_to_be_first
-- For the same lock, and not for ever: it may be held by a process that sleeps.
select
    set_config('lock_timeout', %(wait)s, false),
    pg_advisory_lock(hashtextextended('diary-mcp workflows', 0))

-- name: is_served
-- Whether a server runs on this database: one holds the lock, and the others stand by to take it.
select
    exists (
        select
        from pg_locks as held
        inner join pg_database as own on own.oid = held.database
        where
            own.datname = current_database()
            and held.locktype = 'advisory'
            and held.objsubid = 1
            and (held.classid::bigint << 32) | held.objid::bigint
            = hashtextextended('diary-mcp workflows', 0)
    )
    or exists (
        select
        from pg_stat_activity as session
        where
            session.datname = current_database()
            and session.application_name = %(standby)s
    )

-- name: announce
-- The sign of life: a lock that goes with the connection, however the process ends. It is shared,
-- so that a process whose connection was lost gives it again at once, beside the one that PostgreSQL
-- still holds for the lost connection. Only a takeover, which takes it alone, is waited for.
select pg_advisory_lock_shared(hashtextextended('diary-mcp executor ' || %(executor_id)s::text, 0))

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
-- The locks are held to the end, so an executor that comes back meanwhile waits for its own.
with dead as materialized (
    select executor.id
    from unnest(%(executor_ids)s::text []) as executor (id)
    where pg_try_advisory_xact_lock(hashtextextended('diary-mcp executor ' || executor.id, 0))
)
update dbos.workflow_status
-- include: back_on_the_queue
where
    queue_name = any(%(queues)s)
    and status = 'PENDING'
    and executor_id in (select dead.id from dead)
returning workflow_uuid

-- name: list_not_running
-- What this executor owns but does not run, and when it was claimed, which tells one claim from the
-- next.
select workflow.workflow_uuid || ' ' || coalesce(workflow.started_at_epoch_ms, 0)
from dbos.workflow_status as workflow
where
    workflow.queue_name = any(%(queues)s)
    and workflow.status = 'PENDING'
    and workflow.executor_id = %(executor_id)s
    and workflow.workflow_uuid <> all(%(running)s::text [])

-- name: hand_back
-- Claims of this executor, each with the time that tells it from the next, go back on the queue.
update dbos.workflow_status
-- include: back_on_the_queue
where
    queue_name = any(%(queues)s)
    and status = 'PENDING'
    and executor_id = %(executor_id)s
    and workflow_uuid || ' ' || coalesce(started_at_epoch_ms, 0) = any(%(claims)s::text [])
returning workflow_uuid

-- name: end_unreadable
-- What was claimed and says that it is no JSON. Where DBOS does not know the form, it cannot even
-- write down that the workflow failed, and would claim it for ever.
update dbos.workflow_status
set
    status = 'ERROR',
    deduplication_id = null,
    owner_xid = null,
    updated_at = (extract(epoch from clock_timestamp()) * 1000)::bigint,
    completed_at = (extract(epoch from clock_timestamp()) * 1000)::bigint
where
    queue_name = any(%(queues)s)
    and status = 'PENDING'
    and serialization <> 'portable_json'
returning workflow_uuid

-- name: poll_rate
-- Workflows of one entry run one after the other, one at a poll: many changes of an entry, or what
-- an outage has left, would take long at the pace of an idle queue. Where every entry is settled,
-- what waits is account-keeping, and must not compete with the calls that cause it: while many of
-- them come, hardly any of it is done. DBOS reads the row before every poll.
with seen as (
    select
        (
            -- At an end of an index, and no matter which way a clock was set.
            select greatest(now() - min(permission.changed_at), max(permission.changed_at) - now())
            from diary.entry_permission as permission
            where
                permission.applied_generation < permission.generation
                and permission.refusal is null
        ) > %(deadline)s::interval as is_late,
        (
            select count(*)
            from dbos.workflow_status as workflow
            where
                workflow.queue_name = %(queue)s
                and workflow.created_at
                between (extract(epoch from now() - %(burst)s::interval) * 1000)::bigint
                and (extract(epoch from now() + %(burst)s::interval) * 1000)::bigint
        ) as changes,
        (
            -- In the order of an index: all have the same priority.
            select
                greatest(
                    now() - to_timestamp(workflow.created_at / 1000.0),
                    to_timestamp(workflow.created_at / 1000.0) - now()
                )
            from dbos.workflow_status as workflow
            where workflow.queue_name = %(queue)s and workflow.status = 'ENQUEUED'
            order by workflow.priority, workflow.created_at
            limit 1
        ) as longest_wait
),
chosen as (
    select
        case
            when seen.is_late or seen.longest_wait > %(burst_patience)s::interval then 'busy'
            when seen.changes >= %(burst_changes)s then 'burst'
            when seen.longest_wait > %(idle_patience)s::interval then 'busy'
            else 'idle'
        end as name
    from seen
)
update dbos.queues
set
    polling_interval_sec = pace.interval_s,
    worker_concurrency = pace.at_once,
    updated_at = (extract(epoch from clock_timestamp()) * 1000)::bigint
from chosen
inner join (
    values
    ('idle', %(idle_s)s::double precision, %(idle_at_once)s::integer),
    ('busy', %(busy_s)s, %(busy_at_once)s),
    ('burst', %(burst_s)s, %(burst_at_once)s)
) as pace (name, interval_s, at_once) on pace.name = chosen.name
where
    queues.name = %(queue)s
    and (queues.polling_interval_sec, queues.worker_concurrency)
    is distinct from (pace.interval_s, pace.at_once)
returning pace.name

-- name: analyze_queue
-- Without knowing that there are many entries on the queue, PostgreSQL reads all of it for each of
-- them at every poll. Statistics of a quiet moment do not say so.
analyze (skip_locked) dbos.workflow_status
