-- A role `r` on a diary `d`, as it is shown.
r.diary_id, d.owner, d.name, r.grantee, r.role,
coalesce(r.given_by, r.granted_by) as granted_by, r.created_at, r.expires_at, r.note,
-- include: sharing
