-- What the caller sees of an entry `e` beside its own columns.
cross join lateral diary.entry_view(e.id, e.owner, e.superseded_by, %(caller)s, %(grantees)s)
as visible
cross join lateral diary.entry_signature(e.id, e.owner, e.version, e.wants_signature) as signed
left join lateral diary.diary_of(e.diary_id, e.owner) as placed on true
