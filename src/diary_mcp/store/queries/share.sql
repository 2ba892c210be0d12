-- name: put_share
-- Sharing again replaces what the share says; one that had ended begins anew.
insert into diary.share as given (entry_id, grantee, granted_by, expires_at, note, created_at)
select e.id, %(grantee)s, e.owner, %(expires_at)s, %(note)s, clock_timestamp()
from diary.entry as e
where e.id = %(entry_id)s
on conflict on constraint share_pkey do update
set
    created_at = case
        when diary.is_active(given.expires_at) then given.created_at else excluded.created_at
    end,
    expires_at = excluded.expires_at,
    expired = false,
    note = excluded.note

-- name: remove_share
-- An expired share is gone already, but for its row.
delete from diary.share
where entry_id = %(entry_id)s and grantee = %(grantee)s
returning diary.is_active(expires_at)

-- name: find_share
select
    -- include: share_columns
from diary.share as s
inner join diary.entry_permission as permission on permission.entry_id = s.entry_id
where s.entry_id = %(entry_id)s and s.grantee = %(grantee)s

-- name: find_received_share
-- The active share that lets a reader read an entry: its own before a group's, the longest first.
select
    -- include: share_columns
from diary.active_entry_share as s
inner join diary.entry_permission as permission on permission.entry_id = s.entry_id
where s.entry_id = %(entry_id)s and s.grantee = any(%(grantees)s)
order by (s.grantee = %(caller)s) desc, s.expires_at desc nulls first, s.grantee
limit 1

-- name: list_received_shares
-- Of each entry of others the active share that lets the reader read it, the latest given first.
select
    received.entry_id, received.grantee, received.granted_by, received.created_at,
    received.expires_at, received.note, received.sharing
from (
    select distinct on (s.entry_id)
        -- include: share_columns
    from diary.active_entry_share as s
    inner join diary.entry_permission as permission on permission.entry_id = s.entry_id
    where s.grantee = any(%(grantees)s) and s.granted_by <> %(caller)s
    order by
        s.entry_id, (s.grantee = %(caller)s) desc, s.expires_at desc nulls first, s.grantee
) as received
where %(since)s::timestamptz is null or received.created_at > %(since)s
order by received.created_at desc, received.entry_id
limit %(limit)s

-- name: list_received_ids
select distinct s.entry_id
from diary.active_entry_share as s
where s.grantee = any(%(grantees)s) and s.granted_by <> %(caller)s

-- name: list_shares
-- Active shares that an owner gave, oldest first; of one entry where one is named.
select
    -- include: share_columns
from diary.active_entry_share as s
inner join diary.entry_permission as permission on permission.entry_id = s.entry_id
where
    s.granted_by = %(owner)s
    and (%(entry_id)s::uuid is null or s.entry_id = %(entry_id)s)
    and (
        %(after_created_at)s::timestamptz is null
        or (s.created_at, s.entry_id, s.grantee)
        > (%(after_created_at)s, %(after_entry_id)s::uuid, %(after_grantee)s)
    )
order by s.created_at, s.entry_id, s.grantee
limit %(limit)s

-- name: count_group_shares
select count(*)::integer
from diary.share as s
where s.entry_id = %(entry_id)s and starts_with(s.grantee, 'group:') and not s.expired

-- name: may_reach
-- Whether any active share, or role on a diary, names the agent, or any group.
select exists (select from diary.reach_of(%(agent)s))
