-- A share `s` of an entry, as it is shown.
s.entry_id, s.grantee, s.granted_by, s.created_at, s.expires_at, s.note,
-- include: sharing
