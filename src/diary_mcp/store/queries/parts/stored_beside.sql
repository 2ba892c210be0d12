-- What an archive has of an entry `e` beside its own columns.
cross join lateral (
    select
        coalesce(array_agg(each.id order by each.id), '{}') as ids,
        coalesce(array_agg(each.key order by each.id), '{}') as keys
    from diary.entry as each
    where each.superseded_by = e.id
) as older
left join diary.entry_origin as origin on origin.entry_id = e.id and origin.version = e.version
left join diary.diary as d on d.id = e.diary_id
