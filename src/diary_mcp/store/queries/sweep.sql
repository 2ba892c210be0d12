-- name: lock_sweep
-- One process sweeps at a time; the others leave it to that one.
select pg_try_advisory_xact_lock(hashtextextended('diary-mcp sweep', 0))

-- name: lock_expired
-- Entries with an expired share, locked before their shares as every change of shares does it.
-- Those that are being changed at this moment wait for the next sweep. The statement's time, because
-- an index is of no use against one that changes from row to row.
select permission.entry_id
from diary.entry_permission as permission
where
    permission.entry_id in (
        select s.entry_id
        from diary.share as s
        where s.expires_at <= statement_timestamp()
    )
order by permission.entry_id
limit %(limit)s
for update skip locked

-- name: remove_expired
-- Gone, and the permission backend has one more change to agree with. One row for each entry.
with removed as (
    delete from diary.share
    where entry_id = any(%(entry_ids)s) and expires_at <= clock_timestamp()
    returning entry_id, grantee
)
update diary.entry_permission as permission
set generation = permission.generation + 1, changed_at = clock_timestamp(), refusal = null
from (
    select removed.entry_id, min(removed.grantee) as grantee
    from removed
    group by removed.entry_id
) as expired
where permission.entry_id = expired.entry_id
returning permission.entry_id, permission.generation, expired.grantee

-- name: list_forgotten
-- Entries that the permission backend does not agree with and that nothing waits to settle: their
-- workflow failed, was cancelled or is gone. A young change still has its workflow coming.
with unfinished as materialized (
    select workflow.workflow_uuid
    from dbos.workflow_status as workflow
    where
        workflow.queue_name = %(queue)s
        and workflow.status in ('ENQUEUED', 'PENDING')
        and workflow.serialization = 'portable_json'
    union all
    -- By itself, because DBOS has these in another index.
    select workflow.workflow_uuid
    from dbos.workflow_status as workflow
    where
        workflow.queue_name = %(queue)s
        and workflow.status = 'DELAYED'
        and workflow.serialization = 'portable_json'
),
waiting as materialized (
    select jsonb_path_query(input.inputs::jsonb, '$.positionalArgs[0][*]') #>> '{}' as entry_id
    from unfinished
    inner join dbos.workflow_input as input on input.workflow_uuid = unfinished.workflow_uuid
)
select
    permission.entry_id,
    permission.generation,
    permission.deleted_at is not null as deleted
from diary.entry_permission as permission
where
    permission.applied_generation < permission.generation
    and permission.changed_at < statement_timestamp() - case
        when permission.refusal is null then %(deadline)s::interval
        else %(refusal_patience)s::interval
    end
    and not exists (
        select from waiting where waiting.entry_id = permission.entry_id::text
    )
order by deleted, permission.entry_id
limit %(limit)s
