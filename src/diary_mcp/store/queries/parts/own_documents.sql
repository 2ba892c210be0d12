(
    select
        count(*) as documents,
        coalesce(bit_xor(d.revision), 0) as fingerprint
    from (
        select counted.revision
        from diary.search_document as counted
        where %(mine)s and counted.owner = %(caller)s
        limit %(most)s
    ) as d
) as own
cross join lateral (
    select
        coalesce(string_agg(uuid_send(older.id), ''), '') as superseded,
        coalesce(string_agg(uuid_send(older.superseded_by), ''), '') as superseded_by
    from diary.entry as older
    where
        not %(include_superseded)s
        and own.documents < %(most)s
        and older.owner = %(caller)s
        and older.superseded_by is not null
        and exists (
            select
            from diary.newer_seen_by(older.superseded_by, %(diary)s, %(caller)s, %(grantees)s)
        )
) as replaced
