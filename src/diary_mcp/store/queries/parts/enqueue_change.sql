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
