-- Bearer tokens that agents sign in with over HTTP. Only the hash of a token is kept.

create table diary.agent_token (
    id bigint generated always as identity,
    agent text not null,
    sha256 bytea not null,
    scopes text [] not null,
    created_at timestamptz not null default clock_timestamp(),
    expires_at timestamptz,
    revoked_at timestamptz,
    constraint agent_token_pkey primary key (id),
    constraint agent_token_sha256_is_unique unique (sha256),
    constraint agent_token_sha256_is_whole check (octet_length(sha256) = 32),
    constraint agent_token_scopes_are_known check (
        scopes <@ array['diary:read', 'diary:write', 'diary:share']
        and cardinality(scopes) > 0
    ),
    constraint agent_token_agent_exists foreign key (agent) references diary.agent (name)
);
create index agent_token_by_agent on diary.agent_token (agent, id) where revoked_at is null;
