-- name: find_diary
-- With the highest role that the rows give the reader; no row where they give none.
select held.id, held.owner, held.name, held.role
from (
    select
        d.id,
        d.owner,
        d.name,
        case
            when d.owner = %(caller)s then 'owner'
            else (
                select max(r.role)
                from diary.active_role as r
                where r.diary_id = d.id and r.grantee = any(%(grantees)s)
            )
        end as role
    from diary.diary as d
    where d.owner = %(owner)s and d.name = %(name)s
) as held
where held.role is not null

-- name: hold_diary
-- Neither renamed, transferred nor removed before this transaction ends.
select d.id
from diary.diary as d
where d.owner = %(owner)s and d.name = %(name)s
for key share of d

-- name: hold_roles
-- Not taken away before this transaction ends: whoever takes one away waits for it.
select r.role
from diary.diary as d
inner join diary.diary_role as r on r.diary_id = d.id
where d.owner = %(owner)s and d.name = %(name)s and r.grantee = any(%(grantees)s)
order by r.grantee
for share of r

-- name: list_readable
-- What the reader owns, and what it has a role on. Entries that name no diary are in the `main` of
-- their owner. They are counted where that is asked: it reads all that the reader can read.
with readable as (
    select d.id, d.owner, d.name, 'owner' as role, coalesce(d.named_by, d.owner) as named_by
    from diary.diary as d
    where d.owner = %(caller)s
    union all
    select null, %(caller)s, 'main', 'owner', %(caller)s
    where
        not exists (
            select from diary.diary as d where d.owner = %(caller)s and d.name = 'main'
        )
    union all
    select d.id, d.owner, d.name, max(r.role), d.owner
    from diary.active_role as r
    inner join diary.diary as d on d.id = r.diary_id
    where r.grantee = any(%(grantees)s) and d.owner <> %(caller)s
    group by d.id, d.owner, d.name
)
select
    readable.id,
    readable.owner,
    readable.name,
    readable.role,
    readable.named_by,
    coalesce(placed.entries, 0)::integer + coalesce(unplaced.entries, 0)::integer as entries,
    greatest(placed.latest, unplaced.latest) as latest
from readable
left join lateral (
    select count(*) as entries, max(e.date) as latest
    from diary.entry as e
    where %(counted)s and e.diary_id = readable.id
) as placed on true
left join lateral (
    select count(*) as entries, max(e.date) as latest
    from diary.entry as e
    where
        %(counted)s
        and readable.name = 'main'
        and e.owner = readable.owner
        and e.diary_id is null
) as unplaced on true
order by readable.owner <> %(caller)s, readable.owner, readable.name

-- name: insert_diary
-- With the state of its permissions, and its owner if it is the owner's first call.
with owner as (
    insert into diary.agent (name) values (%(owner)s)
    on conflict on constraint agent_pkey do nothing
),
made as (
    insert into diary.diary (owner, name) values (%(owner)s, %(name)s)
    on conflict on constraint diary_name_is_unique_per_owner do nothing
    returning id
)
insert into diary.diary_permission (diary_id)
select made.id from made
returning diary_id

-- name: raise_generation
update diary.diary_permission
set generation = generation + 1, changed_at = clock_timestamp(), refusal = null
where diary_id = %(id)s and deleted_at is null
returning generation

-- name: rename_diary
update diary.diary
set name = %(name)s, named_by = null
where id = %(id)s
returning true

-- name: transfer_diary
-- The new owner has a role on it no more, and gives all others from now on.
with role as (
    delete from diary.diary_role
    where diary_id = %(id)s and grantee = %(owner)s
)
update diary.diary
set owner = %(owner)s, named_by = coalesce(named_by, owner)
where id = %(id)s
returning true

-- name: pass_roles_on
-- Not those that have ended: each change of one is told in the trail. Who gave it stays known: the
-- note is that agent's.
update diary.diary_role
set granted_by = %(owner)s, given_by = coalesce(given_by, granted_by)
where diary_id = %(id)s and not expired

-- name: delete_diary
delete from diary.diary
where id = %(id)s
returning true

-- name: bury_diary
update diary.diary_permission
set deleted_at = clock_timestamp()
where diary_id = %(id)s

-- name: put_role
insert into diary.diary_role as given (diary_id, grantee, role, granted_by, expires_at, note)
values (%(diary_id)s, %(grantee)s, %(role)s, %(granted_by)s, %(expires_at)s, %(note)s)
on conflict on constraint diary_role_pkey do update
set
    role = excluded.role,
    granted_by = excluded.granted_by,
    given_by = null,
    created_at = case
        when diary.is_active(given.expires_at) then given.created_at else excluded.created_at
    end,
    expires_at = excluded.expires_at,
    expired = false,
    note = excluded.note

-- name: remove_role
-- An expired role is gone already, but for its row.
delete from diary.diary_role
where diary_id = %(diary_id)s and grantee = %(grantee)s
returning diary.is_active(expires_at)

-- name: find_share
select
    -- include: role_columns
from diary.diary_role as r
inner join diary.diary as d on d.id = r.diary_id
inner join diary.diary_permission as permission on permission.diary_id = r.diary_id
where r.diary_id = %(diary_id)s and r.grantee = %(grantee)s

-- name: list_received_roles
-- Of each diary of others the reader's highest active role, the latest given first.
select
    received.diary_id, received.owner, received.name, received.grantee, received.role,
    received.granted_by, received.created_at, received.expires_at, received.note,
    received.sharing
from (
    select distinct on (r.diary_id)
        -- include: role_columns
    from diary.active_role as r
    inner join diary.diary as d on d.id = r.diary_id
    inner join diary.diary_permission as permission on permission.diary_id = r.diary_id
    where r.grantee = any(%(grantees)s) and d.owner <> %(caller)s
    order by
        r.diary_id, r.role desc, (r.grantee = %(caller)s) desc,
        r.expires_at desc nulls first, r.grantee
) as received
where %(since)s::timestamptz is null or received.created_at > %(since)s
order by received.created_at desc, received.diary_id
limit %(limit)s

-- name: list_shares
-- Active roles on an owner's diaries, oldest first; on one where it is named.
select
    -- include: role_columns
from diary.active_role as r
inner join diary.diary as d on d.id = r.diary_id
inner join diary.diary_permission as permission on permission.diary_id = r.diary_id
where
    d.owner = %(owner)s
    and (%(diary_id)s::uuid is null or r.diary_id = %(diary_id)s)
    and (
        %(after_created_at)s::timestamptz is null
        or (r.created_at, r.diary_id, r.grantee)
        > (%(after_created_at)s, %(after_diary_id)s::uuid, %(after_grantee)s)
    )
order by r.created_at, r.diary_id, r.grantee
limit %(limit)s

-- name: count_group_roles
select count(*)::integer
from diary.diary_role as r
where r.diary_id = %(diary_id)s and starts_with(r.grantee, 'group:') and not r.expired
