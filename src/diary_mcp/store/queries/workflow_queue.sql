-- name: enqueue
-- include: enqueue_change

-- name: enqueue_with_indexing
-- The same, and the indexing of new entries in the same round trip.
-- include: enqueue_change
union all
-- include: enqueue_indexing

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
-- include: enqueue_indexing

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
