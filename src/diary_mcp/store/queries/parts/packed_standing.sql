-- How each entry stands, in columns before others.
coalesce(string_agg(boolsend(standing.matching), ''), '') as matching,
coalesce(string_agg(uuid_send(
    coalesce(standing.superseded_by, '00000000-0000-0000-0000-000000000000')
), ''), '') as superseded_by,
