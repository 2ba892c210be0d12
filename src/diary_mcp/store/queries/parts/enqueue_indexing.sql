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
