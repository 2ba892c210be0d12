-- Diaries: every entry is in exactly one. What is there already is in its owner's `main`, which
-- needs no row, and so does what is written there: a diary has a row once somebody else may have to
-- do with it.

create table diary.diary (
    id uuid not null default gen_random_uuid(),
    owner text not null,
    name text not null,
    created_at timestamptz not null default clock_timestamp(),
    -- Of a `main`: whether the entries that were in it before its row name it.
    is_placed boolean not null default false,
    constraint diary_pkey primary key (id),
    constraint diary_name_is_unique_per_owner unique (owner, name),
    constraint diary_owner_exists foreign key (owner) references diary.agent (name),
    constraint diary_name_is_valid check (name ~ '^[a-z0-9][a-z0-9._-]{0,63}$')
);
create index diary_to_place on diary.diary (id) where name = 'main' and not is_placed;

-- Null is the owner's `main`. What is there is null, so nothing has to be looked at.
alter table diary.entry add column diary_id uuid;
alter table diary.entry add constraint entry_diary_exists
foreign key (diary_id) references diary.diary (id) not valid;
create index entry_by_diary_and_date on diary.entry (diary_id, date desc, id)
where diary_id is not null;

-- How far the permission backend agrees with a diary's rows, as diary.entry_permission of entries.
create table diary.diary_permission (
    diary_id uuid not null,
    generation bigint not null default 1,
    applied_generation bigint not null default 0,
    changed_at timestamptz not null default clock_timestamp(),
    deleted_at timestamptz,
    refusal text,
    constraint diary_permission_pkey primary key (diary_id)
);
create index diary_permission_pending on diary.diary_permission (changed_at)
where applied_generation < generation;
create index diary_permission_refused on diary.diary_permission (diary_id)
where refusal is not null;

-- What is settled by relation tuples, entries and diaries alike: no two have the same id.
create view diary.relation_state
with (security_invoker = true)
as
select
    p.entry_id as id, 'DiaryEntry' as namespace, p.generation, p.applied_generation, p.changed_at,
    p.deleted_at, p.refusal
from diary.entry_permission as p
union all
select
    p.diary_id, 'Diary', p.generation, p.applied_generation, p.changed_at, p.deleted_at, p.refusal
from diary.diary_permission as p;

-- Who may do what with a diary of another agent's.
create table diary.diary_role (
    diary_id uuid not null,
    grantee text not null,
    role text not null,
    granted_by text not null,
    created_at timestamptz not null default clock_timestamp(),
    expires_at timestamptz,
    -- Whether the relation tuple is to go, as of shares.
    expired boolean not null default false,
    note text,
    constraint diary_role_pkey primary key (diary_id, grantee),
    constraint diary_role_is_known check (role in ('viewer', 'writer')),
    constraint diary_role_diary_exists foreign key (diary_id)
    references diary.diary (id) on delete cascade
);
create index diary_role_by_grantee on diary.diary_role (grantee, diary_id);
create index diary_role_with_groups on diary.diary_role (expires_at)
where starts_with(grantee, 'group:');
create index diary_role_to_expire on diary.diary_role (expires_at)
where expires_at is not null and not expired;
create index diary_role_expired on diary.diary_role (expires_at) where expired;

create view diary.active_role
with (security_invoker = true)
as
select r.diary_id, r.grantee, r.role, r.granted_by, r.created_at, r.expires_at, r.note
from diary.diary_role as r
where diary.is_active(r.expires_at);

-- The shares of entries themselves.
create view diary.active_entry_share
with (security_invoker = true)
as
select s.entry_id, s.grantee, s.granted_by, s.created_at, s.expires_at, s.note
from diary.share as s
where diary.is_active(s.expires_at);

-- To whom an entry is open that it does not belong to: by a share of its own, or by the diary that
-- it is in. Every statement that reads for somebody asks this.
create or replace view diary.active_share
with (security_invoker = true)
as
select s.entry_id, s.grantee, s.granted_by, s.created_at, s.expires_at, s.note
from diary.share as s
where diary.is_active(s.expires_at)
union all
select e.id, r.grantee, d.owner, r.created_at, r.expires_at, r.note
from diary.entry as e
inner join diary.diary_role as r on r.diary_id = e.diary_id
inner join diary.diary as d on d.id = e.diary_id
where diary.is_active(r.expires_at)
union all
select e.id, d.owner, d.owner, d.created_at, null, null
from diary.entry as e
inner join diary.diary as d on d.id = e.diary_id
union all
-- What was in a `main` before it had a row, and is not placed yet.
select e.id, r.grantee, d.owner, r.created_at, r.expires_at, r.note
from diary.entry as e
inner join diary.diary as d on d.owner = e.owner and d.name = 'main'
inner join diary.diary_role as r on r.diary_id = d.id
where e.diary_id is null and diary.is_active(r.expires_at);

-- The diary that an entry is in; no row where that is a `main` of which nobody else knows.
create function diary.diary_of(diary_id uuid, owner text) returns table (diary jsonb)
language sql stable parallel safe
begin atomic
select jsonb_build_object('id', d.id, 'owner', d.owner, 'name', d.name)
from diary.diary as d
where
    d.id = coalesce(
        diary_of.diary_id,
        (
            select main.id
            from diary.diary as main
            where main.owner = diary_of.owner and main.name = 'main'
        )
    );
end;

-- Whether an entry is in a diary, or in the `main` of somebody; any is, where neither is given.
create function diary.lies_in(entry_diary uuid, entry_owner text, diary uuid, main_of text)
returns boolean
language sql stable parallel safe
return
    (diary is null and main_of is null)
    or entry_diary = diary
    or (entry_diary is null and entry_owner = main_of);

-- Whether two entries of an owner are in the same diary; null is the owner's `main`.
create function diary.share_diary(one uuid, other uuid, entry_owner text) returns boolean
language sql stable parallel safe
return
    one is not distinct from other
    or coalesce(one, other) = (
        select main.id
        from diary.diary as main
        where main.owner = entry_owner and main.name = 'main' and (one is null or other is null)
    );

-- The generation that was settled with the diary taken into account. A process of an older version
-- takes away what it does not know, so what it has settled does not count.
alter table diary.entry_permission add column placed_generation bigint;

create function diary.require_placement() returns trigger
language plpgsql
as $$
begin
    if exists (
        select from diary.entry as e where e.id = new.entry_id and e.diary_id is not null
    ) then
        new.applied_generation := old.applied_generation;
    end if;
    return new;
end;
$$;
create trigger placement_is_settled
before update of applied_generation on diary.entry_permission
for each row
when (
    new.applied_generation > old.applied_generation
    and new.placed_generation is distinct from new.applied_generation
)
execute function diary.require_placement();

-- Who could read an entry by the diary that it was in hears that it is gone from there.
create function diary.announce_departure() returns trigger
language plpgsql as $$
begin
    perform pg_notify('diary_entry', old.id || ' ' || reader.name)
    from (
        select r.grantee as name from diary.active_role as r where r.diary_id = old.diary_id
        union
        select d.owner from diary.diary as d where d.id = old.diary_id and d.owner <> old.owner
    ) as reader;
    return null;
end;
$$;
create trigger departure_is_announced
after delete on diary.entry
for each row
when (old.diary_id is not null)
execute function diary.announce_departure();
create trigger move_is_announced
after update of diary_id on diary.entry
for each row
when (old.diary_id is not null and old.diary_id is distinct from new.diary_id)
execute function diary.announce_departure();

-- Roles and new owners of diaries go into the audit trail as shares do.
alter table diary.audit_event
add column diary_id uuid,
add column role text;
-- squawk-ignore ban-drop-constraint
alter table diary.audit_event drop constraint audit_event_is_known;
alter table diary.audit_event add constraint audit_event_is_known check (
    event in (
        'shared', 'unshared', 'share_expired', 'share_deleted_with_entry',
        'share_deleted_with_diary', 'diary_transferred', 'token_issued', 'token_revoked'
    )
) not valid;
-- squawk-ignore ban-drop-constraint
alter table diary.audit_event drop constraint audit_event_names_one_thing;
alter table diary.audit_event add constraint audit_event_names_one_thing
check (num_nonnulls(entry_id, token_id, diary_id) = 1) not valid;
create index audit_event_by_diary on diary.audit_event (diary_id, id) where diary_id is not null;

create function diary.audit_role() returns trigger
language plpgsql
as $$
begin
    if tg_op = 'DELETE' then
        -- What has expired was told when it did.
        if not old.expired then
            insert into diary.audit_event (event, agent, diary_id, grantee, role, expires_at)
            values (
                case
                    when not exists (select from diary.diary as d where d.id = old.diary_id)
                        then 'share_deleted_with_diary'
                    when diary.is_active(old.expires_at) then 'unshared'
                    else 'share_expired'
                end,
                old.granted_by, old.diary_id, old.grantee, old.role, old.expires_at
            );
        end if;
    else
        insert into diary.audit_event (event, agent, diary_id, grantee, role, expires_at)
        values (
            case when new.expired then 'share_expired' else 'shared' end,
            new.granted_by, new.diary_id, new.grantee, new.role, new.expires_at
        );
    end if;
    return null;
end;
$$;
create trigger role_is_audited
after insert or update or delete on diary.diary_role
for each row execute function diary.audit_role();

create function diary.audit_transfer() returns trigger
language plpgsql
as $$
begin
    insert into diary.audit_event (event, agent, diary_id, grantee, role)
    values ('diary_transferred', old.owner, new.id, new.owner, 'owner');
    return null;
end;
$$;
create trigger transfer_is_audited
after update of owner on diary.diary
for each row
when (old.owner is distinct from new.owner)
execute function diary.audit_transfer();
