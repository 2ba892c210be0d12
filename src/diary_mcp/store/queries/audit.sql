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

-- name: list_given
-- What an agent gave and was given itself, the latest first, before one of them; since it bears its
-- name, which another may have borne before. Titles and names only of what it owns now.
select
    event.id, event.happened_at, event.event, event.agent, event.grantee, event.entry_id, e.title,
    event.diary_id, d.name as diary, event.role, event.expires_at
from (
    (
        select
            a.id, a.happened_at, a.event, a.agent, a.grantee, a.entry_id, a.diary_id, a.role,
            a.expires_at
        from diary.audit_event as a
        where
            a.agent = %(agent)s
            and a.grantee is not null
            and (%(before)s::bigint is null or a.id < %(before)s)
            and a.happened_at >= (
                select agent.created_at from diary.agent where agent.name = %(agent)s
            )
        order by a.id desc
        limit %(limit)s
    )
    union all
    (
        select
            a.id, a.happened_at, a.event, a.agent, a.grantee, a.entry_id, a.diary_id, a.role,
            a.expires_at
        from diary.audit_event as a
        where
            a.grantee = %(agent)s
            and a.agent <> %(agent)s
            and (%(before)s::bigint is null or a.id < %(before)s)
            and a.happened_at >= (
                select agent.created_at from diary.agent where agent.name = %(agent)s
            )
        order by a.id desc
        limit %(limit)s
    )
) as event
left join diary.entry as e on e.id = event.entry_id and e.owner = %(agent)s
left join diary.diary as d on d.id = event.diary_id and d.owner = %(agent)s
order by event.id desc
limit %(limit)s
