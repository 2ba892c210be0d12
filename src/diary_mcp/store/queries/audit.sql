-- name: list_audit_events
-- The latest events, the oldest of them first; of one agent or one entry where it is named.
select
    event.id, event.happened_at, event.event, event.agent, event.entry_id, event.grantee,
    event.expires_at, event.diary_id, event.role, event.token_id, event.scopes
from (
    select
        a.id, a.happened_at, a.event, a.agent, a.entry_id, a.grantee, a.expires_at,
        a.diary_id, a.role, a.token_id, a.scopes
    from diary.audit_event as a
    where
        (%(agent)s::text is null or a.agent = %(agent)s or a.grantee = %(agent)s)
        and (%(entry_id)s::uuid is null or a.entry_id = %(entry_id)s)
    order by a.id desc
    limit %(limit)s
) as event
order by event.id
