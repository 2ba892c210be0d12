-- name: lock_expiring_shares
-- Entries with a share whose expiry is to be carried out, or to be taken back because a clock was
-- wrong; locked before their shares as every change of shares does it. Those that are being changed
-- at this moment wait for the next sweep. The statement's time, because an index is of no use
-- against one that changes from row to row.
select permission.entry_id
from diary.entry_permission as permission
where
    permission.entry_id in (
        select s.entry_id
        from diary.share as s
        where s.expires_at <= statement_timestamp() and not s.expired
        union all
        select s.entry_id
        from diary.share as s
        where s.expires_at > statement_timestamp() and s.expired
    )
order by permission.entry_id
limit %(limit)s
for update skip locked

-- name: carry_out_share_expiry
-- The permission backend has one more change to agree with. One row for each entry.
with carried_out as (
    update diary.share
    set expired = not expired
    where
        entry_id = any(%(ids)s)
        and (
            (expires_at <= statement_timestamp() and not expired)
            or (expires_at > statement_timestamp() and expired)
        )
    returning entry_id, grantee, expired
)
update diary.entry_permission as permission
set generation = permission.generation + 1, changed_at = clock_timestamp(), refusal = null
from (
    select
        carried_out.entry_id,
        min(carried_out.grantee) as grantee,
        bool_or(carried_out.expired) as expired
    from carried_out
    group by carried_out.entry_id
) as change
where permission.entry_id = change.entry_id
returning permission.entry_id as id, permission.generation, change.grantee, change.expired

-- name: lock_expiring_roles
-- The same of diaries and the roles on them.
select permission.diary_id
from diary.diary_permission as permission
where
    permission.diary_id in (
        select r.diary_id
        from diary.diary_role as r
        where r.expires_at <= statement_timestamp() and not r.expired
        union all
        select r.diary_id
        from diary.diary_role as r
        where r.expires_at > statement_timestamp() and r.expired
    )
order by permission.diary_id
limit %(limit)s
for update skip locked

-- name: carry_out_role_expiry
with carried_out as (
    update diary.diary_role
    set expired = not expired
    where
        diary_id = any(%(ids)s)
        and (
            (expires_at <= statement_timestamp() and not expired)
            or (expires_at > statement_timestamp() and expired)
        )
    returning diary_id, grantee, expired
)
update diary.diary_permission as permission
set generation = permission.generation + 1, changed_at = clock_timestamp(), refusal = null
from (
    select
        carried_out.diary_id,
        min(carried_out.grantee) as grantee,
        bool_or(carried_out.expired) as expired
    from carried_out
    group by carried_out.diary_id
) as change
where permission.diary_id = change.diary_id
returning permission.diary_id as id, permission.generation, change.grantee, change.expired
