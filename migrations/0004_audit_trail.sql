-- Who shared what with whom, when and until when; and who was given a token. The tables write it
-- themselves, in the transaction of the change, whatever statement makes it. Ids and names only,
-- never what an entry or a note says, so it may stay when an entry is deleted.

create table diary.audit_event (
    id bigint generated always as identity,
    happened_at timestamptz not null default clock_timestamp(),
    event text not null,
    -- The agent that owns the entry and so gave or ended the share, or that the token is for.
    agent text not null,
    entry_id uuid,
    grantee text,
    expires_at timestamptz,
    token_id bigint,
    scopes text [],
    constraint audit_event_pkey primary key (id),
    constraint audit_event_is_known check (
        event in (
            'shared', 'unshared', 'share_expired', 'share_deleted_with_entry',
            'token_issued', 'token_revoked'
        )
    ),
    constraint audit_event_names_one_thing check ((entry_id is null) = (token_id is not null))
);
create index audit_event_by_entry on diary.audit_event (entry_id, id) where entry_id is not null;
create index audit_event_by_agent on diary.audit_event (agent, id);

create function diary.audit_share() returns trigger
language plpgsql
as $$
begin
    if tg_op = 'DELETE' then
        insert into diary.audit_event (event, agent, entry_id, grantee, expires_at)
        values (
            case
                when not exists (select from diary.entry as e where e.id = old.entry_id)
                    then 'share_deleted_with_entry'
                when old.expires_at <= clock_timestamp() then 'share_expired'
                else 'unshared'
            end,
            old.granted_by, old.entry_id, old.grantee, old.expires_at
        );
    else
        insert into diary.audit_event (event, agent, entry_id, grantee, expires_at)
        values ('shared', new.granted_by, new.entry_id, new.grantee, new.expires_at);
    end if;
    return null;
end;
$$;
create trigger share_is_audited
after insert or update or delete on diary.share
for each row execute function diary.audit_share();

create function diary.audit_token() returns trigger
language plpgsql
as $$
begin
    insert into diary.audit_event (event, agent, token_id, scopes, expires_at)
    values (
        case when tg_op = 'INSERT' then 'token_issued' else 'token_revoked' end,
        new.agent, new.id, new.scopes, new.expires_at
    );
    return null;
end;
$$;
create trigger agent_token_is_audited
after insert or update of revoked_at on diary.agent_token
for each row execute function diary.audit_token();
