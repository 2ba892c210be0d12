set
    status = 'SUCCESS',
    updated_at = (extract(epoch from clock_timestamp()) * 1000)::bigint,
    completed_at = (extract(epoch from clock_timestamp()) * 1000)::bigint
