-- What a query names in the diary `whole`.
coalesce((
    select string_agg(uuid_send(e.id), '')
    from (
        select keyed.id
        from unnest(written.owners) as writer (owner)
        inner join diary.entry as keyed
            on keyed.owner = writer.owner and keyed.key = any(%(names)s::text [])
        union all
        select unnest(%(ids)s::uuid []) as id
    ) as e
), '')
