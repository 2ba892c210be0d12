-- With the columns that DBOS itself sets when it recovers a workflow.
set
    status = 'ENQUEUED',
    owner_xid = null,
    started_at_epoch_ms = null,
    updated_at = (extract(epoch from clock_timestamp()) * 1000)::bigint
