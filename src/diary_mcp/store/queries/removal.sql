-- name: hold_agent
-- Against every key share: nothing that refers to the agent, or is given to it, commits meanwhile.
select true
from diary.agent as a
where a.name = %(grantee)s
for update of a

-- name: hold_group
select true
from diary.agent_group as g
where 'group:' || g.name = %(grantee)s
for update of g

-- name: hold_diaries
select d.id
from diary.diary as d
where d.owner = %(agent)s
order by d.id
for update of d

-- name: list_holdings
select
    (select count(*) from diary.entry as e where e.owner = %(agent)s)::integer as entries,
    array(
        select d.name
        from diary.diary as d
        where
            d.owner = %(agent)s
            and (
                (%(with_diaries)s and d.name <> 'main')
                or exists (select from diary.entry as e where e.diary_id = d.id)
            )
        order by d.name
    ) as diaries

-- name: delete_entries
-- Some of an owner's entries, each with its tombstone.
with doomed as materialized (
    select permission.entry_id
    from diary.entry_permission as permission
    inner join diary.entry as e on e.id = permission.entry_id
    where e.owner = %(agent)s
    order by permission.entry_id
    limit %(limit)s
    for update of permission
),
gone as (
    delete from diary.entry
    using doomed
    where entry.id = doomed.entry_id
    returning entry.id
)
update diary.entry_permission as permission
set
    generation = permission.generation + 1,
    changed_at = clock_timestamp(),
    deleted_at = clock_timestamp(),
    refusal = null
from gone
where permission.entry_id = gone.id
returning permission.entry_id as id, permission.generation

-- name: delete_diaries
with gone as (
    delete from diary.diary as d
    where d.owner = %(agent)s
    returning d.id
)
update diary.diary_permission as permission
set
    generation = permission.generation + 1,
    changed_at = clock_timestamp(),
    deleted_at = clock_timestamp(),
    refusal = null
from gone
where permission.diary_id = gone.id
returning permission.diary_id as id, permission.generation

-- name: take_shares_back
-- Some of them. The states first and in order, as everybody else locks them.
with state as materialized (
    select permission.entry_id
    from diary.entry_permission as permission
    where
        permission.entry_id in (
            select s.entry_id from diary.share as s where s.grantee = %(grantee)s
        )
    order by permission.entry_id
    limit %(limit)s
    for update of permission
),
gone as (
    delete from diary.share as s
    using state
    where s.entry_id = state.entry_id and s.grantee = %(grantee)s
    returning s.entry_id
)
update diary.entry_permission as permission
set generation = permission.generation + 1, changed_at = clock_timestamp(), refusal = null
from gone
where permission.entry_id = gone.entry_id
returning permission.entry_id as id, permission.generation

-- name: take_roles_back
with state as materialized (
    select permission.diary_id
    from diary.diary_permission as permission
    where
        permission.diary_id in (
            select r.diary_id from diary.diary_role as r where r.grantee = %(grantee)s
        )
    order by permission.diary_id
    limit %(limit)s
    for update of permission
),
gone as (
    delete from diary.diary_role as r
    using state
    where r.diary_id = state.diary_id and r.grantee = %(grantee)s
    returning r.diary_id
)
update diary.diary_permission as permission
set generation = permission.generation + 1, changed_at = clock_timestamp(), refusal = null
from gone
where permission.diary_id = gone.diary_id
returning permission.diary_id as id, permission.generation

-- name: delete_tokens
delete from diary.agent_token
where agent = %(grantee)s

-- name: delete_chain
with head as (
    delete from diary.chain_head where owner = %(grantee)s
),
request as (
    delete from diary.signature_request where owner = %(grantee)s
)
delete from diary.link
where owner = %(grantee)s

-- name: delete_requests
delete from diary.create_request
where agent = %(grantee)s

-- name: delete_agent
delete from diary.agent
where name = %(grantee)s

-- name: delete_group
delete from diary.agent_group
where 'group:' || name = %(grantee)s

-- name: insert_removal
insert into diary.removal (grantee) values (%(grantee)s)
returning id
