-- Whoever listens on the channel diary_reader hears, once a transaction has committed, whose lists
-- are not what they were. The payload is the name of the agent or group that may read something
-- new, or something no longer, or something that says other than it did. Never content.
--
-- What was written is told of once it is settled, and not as it is written: PostgreSQL commits what
-- announces anything one at a time, and a write is to wait for no other.

create function diary.announce_to_readers(entry uuid) returns void
language sql volatile
begin atomic
select pg_notify('diary_reader', reader.name)
from (
    select e.owner as name from diary.entry as e where e.id = announce_to_readers.entry
    union
    select s.grantee from diary.active_share as s where s.entry_id = announce_to_readers.entry
) as reader;
end;

create function diary.announce_settled_entry() returns trigger
language plpgsql as $$
begin
    perform diary.announce_to_readers(new.entry_id);
    return null;
end;
$$;
create trigger settled_entry_is_announced
after update of applied_generation on diary.entry_permission
for each row
when (old.applied_generation < new.applied_generation and new.deleted_at is null)
execute function diary.announce_settled_entry();

create function diary.announce_settled_diary() returns trigger
language plpgsql as $$
begin
    perform pg_notify('diary_reader', reader.name)
    from (
        select d.owner as name from diary.diary as d where d.id = new.diary_id
        union
        select r.grantee from diary.active_role as r where r.diary_id = new.diary_id
    ) as reader;
    return null;
end;
$$;
create trigger settled_diary_is_announced
after update of applied_generation on diary.diary_permission
for each row
when (old.applied_generation < new.applied_generation and new.deleted_at is null)
execute function diary.announce_settled_diary();

create or replace function diary.announce_entry() returns trigger
language plpgsql as $$
begin
    if tg_op = 'DELETE' then
        perform pg_notify('diary_entry', old.id || ' ' || old.owner);
        perform pg_notify('diary_reader', old.owner);
    elsif
        old.version is distinct from new.version
        or old.superseded_by is distinct from new.superseded_by
    then
        perform pg_notify('diary_entry', new.id::text);
        perform diary.announce_to_readers(new.id);
    end if;
    return null;
end;
$$;

create or replace function diary.announce_departure() returns trigger
language plpgsql as $$
begin
    perform pg_notify('diary_entry', old.id || ' ' || reader.name),
        pg_notify('diary_reader', reader.name)
    from (
        select r.grantee as name from diary.active_role as r where r.diary_id = old.diary_id
        union
        select d.owner from diary.diary as d where d.id = old.diary_id and d.owner <> old.owner
    ) as reader;
    return null;
end;
$$;

create or replace function diary.announce_revocation() returns trigger
language plpgsql as $$
begin
    perform pg_notify('diary_entry', old.entry_id || ' ' || old.grantee);
    perform pg_notify('diary_reader', old.grantee);
    return null;
end;
$$;

-- A share or a role that was taken back or has expired.
create function diary.announce_end() returns trigger
language plpgsql as $$
begin
    perform pg_notify('diary_reader', old.grantee);
    return null;
end;
$$;
create trigger expiry_is_announced
after update of expired on diary.share
for each row
when (new.expired and not old.expired)
execute function diary.announce_end();
create trigger role_end_is_announced
after delete on diary.diary_role
for each row execute function diary.announce_end();
create trigger role_expiry_is_announced
after update of expired on diary.diary_role
for each row
when (new.expired and not old.expired)
execute function diary.announce_end();

-- A diary that has another name or owner, or is gone.
create function diary.announce_diary() returns trigger
language plpgsql as $$
begin
    perform pg_notify('diary_reader', old.owner);
    if tg_op = 'UPDATE' then
        perform pg_notify('diary_reader', reader.name)
        from (
            select new.owner as name
            union
            select r.grantee from diary.active_role as r where r.diary_id = new.id
        ) as reader;
    end if;
    return null;
end;
$$;
create trigger diary_is_announced
after update of name, owner or delete on diary.diary
for each row execute function diary.announce_diary();

-- What was signed from outside, as its request is answered.
create function diary.announce_signature() returns trigger
language plpgsql as $$
begin
    perform pg_notify('diary_reader', old.owner);
    return null;
end;
$$;
create trigger signature_is_announced
after delete on diary.signature_request
for each row execute function diary.announce_signature();
