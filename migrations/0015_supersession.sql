-- An entry can supersede several: each superseded entry knows by which.

alter table diary.entry
add column superseded_by uuid,
-- What an imported file says it supersedes, each linked once that entry is there.
add column source_keys text [];

update diary.entry as older
set superseded_by = newer.id
from diary.entry as newer
where newer.supersedes = older.id;

update diary.entry
set source_keys = array[source_key]
where source_key is not null;

-- Not validated: what was filled in above exists, and looking it up would keep everybody waiting.
alter table diary.entry
add constraint entry_superseded_by_exists foreign key (superseded_by)
references diary.entry (id) on delete set null not valid;

create index entry_by_superseded_by on diary.entry (superseded_by, id)
where superseded_by is not null;
-- Which entries of an owner are superseded, and which supersede any, without looking at each.
create index entry_superseded_by_owner on diary.entry (owner, superseded_by, id)
where superseded_by is not null;
create index entry_by_source_keys on diary.entry using gin (source_keys)
where source_keys is not null;

-- The release before reads and writes `supersedes` and `source_key`: what it writes counts here, and
-- it sees one of several superseded entries.
create function diary.follow_supersedes() returns trigger
language plpgsql as $$
begin
    if tg_op = 'UPDATE' and old.supersedes is not null then
        update diary.entry as older
        set superseded_by = null
        where
            older.id = old.supersedes
            and older.superseded_by = old.id
            and new.supersedes is distinct from old.supersedes;
    end if;
    if new.supersedes is not null then
        update diary.entry as older
        set superseded_by = new.id
        where older.id = new.supersedes and older.superseded_by is null;
        if not exists (
            select from diary.entry as older
            where older.id = new.supersedes and older.superseded_by = new.id
        ) then
            raise unique_violation using
                constraint = 'entry_is_superseded_once',
                message = 'the entry is superseded already';
        end if;
    end if;
    return null;
end;
$$;

create trigger supersedes_is_followed
after insert or update of supersedes on diary.entry
for each row execute function diary.follow_supersedes();

create function diary.follow_superseded_by() returns trigger
language plpgsql as $$
begin
    if old.superseded_by is not null then
        update diary.entry as newer
        set supersedes = null
        where newer.id = old.superseded_by and newer.supersedes = new.id;
    end if;
    if new.superseded_by is not null then
        update diary.entry as newer
        set supersedes = new.id
        where newer.id = new.superseded_by and newer.supersedes is null;
    end if;
    return null;
end;
$$;

create trigger superseded_by_is_followed
after update of superseded_by on diary.entry
for each row
when (old.superseded_by is distinct from new.superseded_by)
execute function diary.follow_superseded_by();

create function diary.follow_source_key() returns trigger
language plpgsql as $$
begin
    if tg_op = 'UPDATE' or new.source_key is not null then
        new.source_keys := case when new.source_key is not null then array[new.source_key] end;
    end if;
    return new;
end;
$$;

create trigger source_key_is_followed
before insert or update of source_key on diary.entry
for each row execute function diary.follow_source_key();

create or replace function diary.announce_entry() returns trigger
language plpgsql as $$
begin
    if tg_op = 'DELETE' then
        perform pg_notify('diary_entry', old.id || ' ' || old.owner);
    elsif
        old.version is distinct from new.version
        or old.superseded_by is distinct from new.superseded_by
    then
        perform pg_notify('diary_entry', new.id::text);
    end if;
    return null;
end;
$$;

create or replace trigger entry_is_announced
after update of version, superseded_by or delete on diary.entry
for each row execute function diary.announce_entry();

-- What an entry shows its reader beside its own columns. Of what supersedes and is superseded,
-- only what that reader may see.
create function diary.entry_view(
    entry_id uuid, owner text, superseded_by uuid, caller text, grantees text []
) returns table (role text, sharing text, supersedes uuid [], superseded_by uuid)
language sql stable parallel safe
begin atomic
select
    case when entry_view.owner = caller then 'owner' else 'viewer' end,
    case
        when permission.applied_generation < permission.generation then 'pending' else 'settled'
    end,
    array(
        select older.id
        from diary.entry as older
        where
            older.superseded_by = entry_view.entry_id
            and (
                older.owner = caller
                or exists (
                    select
                    from diary.active_share as s
                    where s.entry_id = older.id and s.grantee = any(grantees)
                )
            )
        order by older.id
    ),
    (
        select newer.id
        from diary.entry as newer
        where
            newer.id = entry_view.superseded_by
            and (
                newer.owner = caller
                or exists (
                    select
                    from diary.active_share as s
                    where s.entry_id = newer.id and s.grantee = any(grantees)
                )
            )
    )
from diary.entry_permission as permission
where permission.entry_id = entry_view.entry_id;
end;

-- Signed is a version whose last link says the same version, and names all that it supersedes.
create function diary.entry_signature(
    entry_id uuid, owner text, version bigint, wants_signature boolean
) returns table (signature jsonb)
language sql stable parallel safe
begin atomic
select
    case
        when last.hash is not null then jsonb_build_object(
            'state', 'signed',
            'key', last.statement::jsonb ->> 'key',
            'signed_at', last.statement::jsonb ->> 'time',
            'link', last.hash
        )
        when wants_signature then jsonb_build_object('state', 'pending')
        else jsonb_build_object('state', 'none')
    end
from (values (true)) as entry (is_there)
left join lateral (
    select l.hash, l.statement, l.act, l.version
    from diary.link as l
    where l.owner = entry_signature.owner and l.entry_id = entry_signature.entry_id
    order by l.sequence desc
    limit 1
) as last on (
    last.act <> 'delete'
    and last.version = entry_signature.version
    and not exists (
        select
        from diary.entry as older
        where
            older.superseded_by = entry_signature.entry_id
            and not jsonb_path_exists(
                last.statement::jsonb,
                '$.supersedes[*].entry ? (@ == $id)',
                jsonb_build_object('id', older.id)
            )
    )
);
end;
