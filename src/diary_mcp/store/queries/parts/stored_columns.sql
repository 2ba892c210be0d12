-- An entry `e` whole, as an archive has it.
e.id, e.key, e.owner, e.author, e.session, e.type, e.title, e.content, e.tags, e.importance,
older.ids as supersedes, older.keys as superseded_keys, e.version, e.date, e.created_at,
e.updated_at, e.content_hash, coalesce(e.source_keys, '{}') as source_keys, e.source_hash, e.front_matter, e.wants_signature,
e.imported_version, e.source_path, origin.proof as origin,
case
    when d.owner <> e.owner then d.owner || '/' || d.name
    else nullif(d.name, 'main')
end as diary_name
