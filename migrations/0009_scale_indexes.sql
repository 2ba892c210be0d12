-- What would otherwise be looked for in all of a large table.

-- Whether anything is shared with any group at all: asked before groups are.
create index share_with_groups on diary.share (expires_at) where starts_with(grantee, 'group:');

-- What the permission backend has refused: `status` counts them, and there should be none.
create index entry_permission_refused on diary.entry_permission (entry_id)
where refusal is not null;
