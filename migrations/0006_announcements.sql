-- Whoever listens on the channel diary_entry hears, once a transaction has committed, which entries
-- changed. The payload is the entry's id; behind it, after a space, the agent or group that could
-- read the entry until now, where that is what changed. Never content.

create function diary.announce_entry() returns trigger
language plpgsql as $$
begin
    if tg_op = 'DELETE' then
        perform pg_notify('diary_entry', old.id || ' ' || old.owner);
    elsif tg_op = 'UPDATE' and old.version is distinct from new.version then
        perform pg_notify('diary_entry', new.id::text);
    end if;
    -- What an entry supersedes shows by whom it is superseded.
    if tg_op <> 'INSERT' and old.supersedes is not null then
        if tg_op = 'DELETE' or old.supersedes is distinct from new.supersedes then
            perform pg_notify('diary_entry', old.supersedes::text);
        end if;
    end if;
    if tg_op <> 'DELETE' and new.supersedes is not null then
        if tg_op = 'INSERT' or old.supersedes is distinct from new.supersedes then
            perform pg_notify('diary_entry', new.supersedes::text);
        end if;
    end if;
    return null;
end;
$$;

create trigger entry_is_announced
after insert or update of version, supersedes or delete on diary.entry
for each row execute function diary.announce_entry();

create function diary.announce_revocation() returns trigger
language plpgsql as $$
begin
    perform pg_notify('diary_entry', old.entry_id || ' ' || old.grantee);
    return null;
end;
$$;

create trigger revocation_is_announced
after delete on diary.share
for each row
when (old.expires_at is null or old.expires_at > clock_timestamp())
execute function diary.announce_revocation();
