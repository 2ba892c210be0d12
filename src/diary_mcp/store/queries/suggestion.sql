-- name: suggest_entries
-- The newest of an owner's entries whose key or id begins so.
select e.id, e.key
from diary.entry as e
where
    e.owner = %(owner)s
    and diary.lies_in(e.diary_id, e.owner, %(diary)s, %(main_of)s)
    and (starts_with(e.key, %(prefix)s) or starts_with(e.id::text, lower(%(prefix)s)))
order by e.date desc, e.id
limit %(limit)s

-- name: suggest_sessions
-- An owner's sessions that begin so, the one written to last first.
select e.session
from diary.entry as e
where
    e.owner = %(owner)s
    and diary.lies_in(e.diary_id, e.owner, %(diary)s, %(main_of)s)
    and starts_with(e.session, %(prefix)s)
group by e.session
order by max(e.date) desc, e.session
limit %(limit)s

-- name: suggest_tags
-- An owner's own tags that begin so, the most used first.
select tag.name
from diary.entry as e
cross join lateral unnest(e.tags) as tag (name)
where
    e.owner = %(owner)s
    and diary.lies_in(e.diary_id, e.owner, %(diary)s, %(main_of)s)
    and starts_with(tag.name, %(prefix)s)
group by tag.name
order by count(*) desc, tag.name
limit %(limit)s

-- name: suggest_names
-- Agents and groups whose name begins so.
select names.grantee
from (
    select a.name as grantee
    from diary.agent as a
    union all
    select 'group:' || g.name as grantee
    from diary.agent_group as g
) as names
where starts_with(names.grantee, %(prefix)s)
order by names.grantee
limit %(limit)s
