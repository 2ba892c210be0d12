-- name: lock_sweep
-- One process sweeps at a time; the others leave it to that one.
select pg_try_advisory_xact_lock(hashtextextended('diary-mcp sweep', 0))

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
    and (
        permission.changed_at < statement_timestamp() - case
            when permission.refusal is null then %(deadline)s::interval
            else %(refusal_patience)s::interval
        end
        -- Of the future, as a clock that was set back leaves it.
        or permission.changed_at > statement_timestamp()
    )
    and not exists (
        select from waiting where waiting.entry_id = permission.entry_id::text
    )
order by deleted, permission.entry_id
limit %(limit)s
