coalesce((
    select string_agg(uuid_send(e.id), '')
    from (
        select keyed.id from diary.entry as keyed
        where keyed.owner = %(caller)s and keyed.key = any(%(names)s::text [])
        union all
        select unnest(%(ids)s::uuid []) as id
    ) as e
), '')
