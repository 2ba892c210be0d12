-- name: insert_token
insert into diary.agent_token (agent, sha256, scopes, expires_at)
values (%(agent)s, %(sha256)s, %(scopes)s, %(expires_at)s)
returning id, agent, scopes, created_at, expires_at

-- name: find_token
-- Asked with every request: one look into one unique index.
select t.id, t.agent, t.scopes, t.created_at, t.expires_at
from diary.agent_token as t
where
    t.sha256 = %(sha256)s
    and t.revoked_at is null
    and diary.is_active(t.expires_at)

-- name: list_tokens
-- Tokens that can be used now, of one agent where one is named.
select t.id, t.agent, t.scopes, t.created_at, t.expires_at
from diary.agent_token as t
where
    t.revoked_at is null
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
