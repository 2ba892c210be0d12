-- Agents and groups can be removed, and whoever gets the name later inherits nothing.

-- A name that was removed, and that the permission backend still knows as a member. Who belongs to
-- a group is in no row, so until the backend has forgotten the name nobody may have it again.
create table diary.removal (
    id uuid not null default gen_random_uuid(),
    -- An agent's name, or group:NAME.
    grantee text not null,
    generation bigint not null default 1,
    applied_generation bigint not null default 0,
    changed_at timestamptz not null default clock_timestamp(),
    refusal text,
    constraint removal_pkey primary key (id),
    constraint removal_grantee_is_unique unique (grantee)
);

create or replace view diary.relation_state
with (security_invoker = true)
as
select
    p.entry_id as id, 'DiaryEntry' as namespace, p.generation, p.applied_generation, p.changed_at,
    p.deleted_at, p.refusal
from diary.entry_permission as p
union all
select
    p.diary_id, 'Diary', p.generation, p.applied_generation, p.changed_at, p.deleted_at, p.refusal
from diary.diary_permission as p
union all
select r.id, 'Group', r.generation, r.applied_generation, r.changed_at, r.changed_at, r.refusal
from diary.removal as r;

-- After the insert: an insert that has waited for the removal's commit sees it only then.
create function diary.require_forgotten_name() returns trigger
language plpgsql
as $$
begin
    if exists (
        select from diary.removal as r where r.grantee = tg_argv[0] || new.name
    ) then
        raise exclusion_violation using
            constraint = 'removal_is_settled',
            message = 'whoever had this name is still being removed';
    end if;
    return null;
end;
$$;
create trigger agent_name_is_forgotten
after insert on diary.agent
for each row execute function diary.require_forgotten_name('');
create trigger agent_group_name_is_forgotten
after insert on diary.agent_group
for each row execute function diary.require_forgotten_name('group:');

-- The trail tells who bore a name until when.
-- squawk-ignore ban-drop-constraint
alter table diary.audit_event drop constraint audit_event_is_known;
alter table diary.audit_event add constraint audit_event_is_known check (
    event in (
        'shared', 'unshared', 'share_expired', 'share_deleted_with_entry',
        'share_deleted_with_diary', 'diary_transferred', 'token_issued', 'token_revoked',
        'agent_removed', 'group_removed'
    )
) not valid;
-- squawk-ignore ban-drop-constraint
alter table diary.audit_event drop constraint audit_event_names_one_thing;
alter table diary.audit_event add constraint audit_event_names_one_thing check (
    num_nonnulls(entry_id, token_id, diary_id)
    = case when event in ('agent_removed', 'group_removed') then 0 else 1 end
) not valid;

create function diary.audit_removal() returns trigger
language plpgsql
as $$
begin
    insert into diary.audit_event (event, agent)
    values (tg_argv[0], tg_argv[1] || old.name);
    return null;
end;
$$;
create trigger removal_is_audited
after delete on diary.agent
for each row execute function diary.audit_removal('agent_removed', '');
create trigger removal_is_audited
after delete on diary.agent_group
for each row execute function diary.audit_removal('group_removed', 'group:');
