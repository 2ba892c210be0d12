-- An entry `e` as it is listed, with the beginning of what it says.
e.id, e.key, e.owner, e.author, e.session, e.type, e.title, e.tags, e.importance,
visible.supersedes, visible.superseded_by, e.version, e.date, e.created_at, e.updated_at,
e.content_hash, visible.role, visible.sharing,
jsonb_build_object('state', signed.signature -> 'state') as signature,
left(e.content, %(snippet)s) as snippet, placed.diary
