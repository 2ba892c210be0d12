-- name: enqueue
-- DBOS installs this function; by named arguments, because its parameters grow over versions.
-- No application version: a row is run by whatever version is alive.
select dbos.enqueue_workflow(
    workflow_name => %(workflow)s,
    queue_name => %(queue)s,
    positional_args => %(arguments)s::json [],
    workflow_id => %(workflow_id)s,
    queue_partition_key => %(partition)s,
    application_name => %(application)s
)

-- name: enqueue_with_indexing
-- The same, and the indexing of new entries in the same round trip.
select dbos.enqueue_workflow(
    workflow_name => %(workflow)s,
    queue_name => %(queue)s,
    positional_args => %(arguments)s::json [],
    workflow_id => %(workflow_id)s,
    queue_partition_key => %(partition)s,
    application_name => %(application)s
)
union all
select dbos.enqueue_workflow(
    workflow_name => %(indexing_workflow)s,
    queue_name => %(indexing_queue)s,
    application_name => %(application)s
)
where not exists (
    select
    from dbos.workflow_status as waiting
    where waiting.queue_name = %(indexing_queue)s and waiting.status = 'ENQUEUED'
)

-- name: enqueue_later
-- Not before a moment that is told in milliseconds since 1970.
select dbos.enqueue_workflow(
    workflow_name => %(workflow)s,
    queue_name => %(queue)s,
    positional_args => %(arguments)s::json [],
    workflow_id => %(workflow_id)s,
    delay_until_epoch_ms => %(at_ms)s,
    application_name => %(application)s
)

-- name: request_indexing
-- One that waits to be run finds what this transaction adds: it begins with a pause.
select dbos.enqueue_workflow(
    workflow_name => %(indexing_workflow)s,
    queue_name => %(indexing_queue)s,
    application_name => %(application)s
)
where not exists (
    select
    from dbos.workflow_status as waiting
    where waiting.queue_name = %(indexing_queue)s and waiting.status = 'ENQUEUED'
)

-- name: schema_exists
-- Whether DBOS has ever been set up here.
select to_regclass('dbos.dbos_migrations') is not null

-- name: get_schema_version
-- How many of its migrations DBOS has applied.
select coalesce(max(m.version), 0)
from dbos.dbos_migrations as m

-- name: count_refused_rows
-- What DBOS is not let read (`workflows/json_rows.py`): our workflows write nothing but JSON.
select (
    (
        select count(*)
        from dbos.workflow_status as workflow
        where workflow.serialization is distinct from 'portable_json'
    )
    + (
        select count(*)
        from dbos.operation_outputs as step
        where step.serialization is distinct from 'portable_json'
    )
)::integer
