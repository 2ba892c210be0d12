-- name: register_agent
insert into diary.agent (name) values (%(name)s)
on conflict on constraint agent_pkey do nothing

-- name: agent_exists
-- Whoever removes it waits for this transaction, and the other way round.
select true
from diary.agent as a
where a.name = %(name)s
for key share of a

-- name: group_exists
select true
from diary.agent_group as g
where g.name = %(name)s
for key share of g

-- name: list_names
-- Every name that an entry can be shared with, the most recent first.
select names.grantee
from (
    select a.name as grantee, a.created_at
    from diary.agent as a
    union all
    select 'group:' || g.name as grantee, g.created_at
    from diary.agent_group as g
) as names
order by names.created_at desc
limit %(limit)s

-- name: insert_group
insert into diary.agent_group (name) values (%(name)s)
on conflict on constraint agent_group_pkey do nothing
returning true

-- name: list_agents
select a.name, a.created_at
from diary.agent as a
order by a.name

-- name: list_groups
select g.name
from diary.agent_group as g
order by g.name

-- name: claim_request
insert into diary.create_request (agent, idempotency_key, arguments_hash, entry_id)
values (%(agent)s, %(key)s, %(arguments_hash)s, %(entry_id)s)
on conflict on constraint create_request_pkey do nothing

-- name: find_request
select r.arguments_hash, r.entry_id
from diary.create_request as r
where r.agent = %(agent)s and r.idempotency_key = %(key)s
