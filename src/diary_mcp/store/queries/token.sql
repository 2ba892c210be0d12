-- name: insert_token
with issued as (
    insert into diary.agent_token (agent, sha256, scopes, diary_id, expires_at)
    values (%(agent)s, %(sha256)s, %(scopes)s, %(diary_id)s, %(expires_at)s)
    returning id, agent, scopes, diary_id, created_at, expires_at
)
select
    issued.id, issued.agent, issued.scopes, issued.created_at, issued.expires_at,
    named.diary
from issued
left join lateral diary.diary_of(issued.diary_id, null) as named on true

-- name: find_token
-- Asked with every request: one look into one unique index, and one into another for a diary.
select
    t.id, t.agent, t.scopes, t.created_at, t.expires_at,
    named.diary
from diary.agent_token as t
left join lateral diary.diary_of(t.diary_id, null) as named on true
where
    t.sha256 = %(sha256)s
    and (t.diary_id is null or named.diary is not null)
    and t.revoked_at is null
    and diary.is_active(t.expires_at)

-- name: list_tokens
-- Tokens that can be used now, of one agent where one is named.
select
    t.id, t.agent, t.scopes, t.created_at, t.expires_at,
    named.diary
from diary.agent_token as t
left join lateral diary.diary_of(t.diary_id, null) as named on true
where
    t.revoked_at is null
    and (t.diary_id is null or named.diary is not null)
    and diary.is_active(t.expires_at)
    and (%(agent)s::text is null or t.agent = %(agent)s)
order by t.agent, t.id

-- name: revoke_token
update diary.agent_token
set revoked_at = clock_timestamp()
where id = %(token_id)s and revoked_at is null

-- name: revoke_tokens
-- Every token of an agent, expired ones too: a clock that is set back revives none.
update diary.agent_token
set revoked_at = clock_timestamp()
where agent = %(agent)s and revoked_at is null
