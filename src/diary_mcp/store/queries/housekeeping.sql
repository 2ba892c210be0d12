-- name: lock_housekeeping
-- One process tidies up at a time.
select pg_try_advisory_xact_lock(hashtextextended('diary-mcp housekeeping', 0))

-- name: remove_finished
-- DBOS keeps finished workflows for ever, in four tables without cascading keys. Failed ones go
-- too: what they did not settle is known from the rows of the entry.
with finished as materialized (
    select workflow.workflow_uuid
    from dbos.workflow_status as workflow
    where
        workflow.application_name = %(application)s
        and workflow.completed_at
        < (extract(epoch from statement_timestamp() - %(keep)s::interval) * 1000)::bigint
        and workflow.status in ('SUCCESS', 'ERROR', 'CANCELLED', 'MAX_RECOVERY_ATTEMPTS_EXCEEDED')
    limit %(limit)s
    for update skip locked
),
step as (
    delete from dbos.operation_outputs
    where workflow_uuid in (select finished.workflow_uuid from finished)
),
input as (
    delete from dbos.workflow_input
    where workflow_uuid in (select finished.workflow_uuid from finished)
),
output as (
    delete from dbos.workflow_output
    where workflow_uuid in (select finished.workflow_uuid from finished)
)
delete from dbos.workflow_status
where workflow_uuid in (select finished.workflow_uuid from finished)

-- name: remove_requests
-- Answers to create calls that nobody repeats any more.
delete from diary.create_request
where (agent, idempotency_key) in (
    select request.agent, request.idempotency_key
    from diary.create_request as request
    where request.created_at < statement_timestamp() - %(keep)s::interval
    limit %(limit)s
)
