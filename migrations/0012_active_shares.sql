-- Said once: when a share is active, and what holds a subject. The planner takes both apart.

-- Volatile like the clock, or it would not be taken apart.
create function diary.is_active(expires_at timestamptz) returns boolean
language sql volatile parallel safe
return expires_at is null or expires_at > clock_timestamp();

create view diary.active_share
with (security_invoker = true)
as
select s.entry_id, s.grantee, s.granted_by, s.created_at, s.expires_at, s.note
from diary.share as s
where diary.is_active(s.expires_at);

create or replace function diary.reader_view(
    entry_id uuid, owner text, supersedes uuid, caller text, grantees text []
) returns table (role text, sharing text, supersedes uuid, superseded_by uuid)
language sql stable parallel safe
begin atomic
select
    case when reader_view.owner = caller then 'owner' else 'viewer' end,
    case
        when permission.applied_generation < permission.generation then 'pending' else 'settled'
    end,
    (
        select older.id
        from diary.entry as older
        where
            older.id = reader_view.supersedes
            and (
                older.owner = caller
                or exists (
                    select
                    from diary.active_share as s
                    where s.entry_id = older.id and s.grantee = any(grantees)
                )
            )
    ),
    (
        select newer.id
        from diary.entry as newer
        where
            newer.supersedes = reader_view.entry_id
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
where permission.entry_id = reader_view.entry_id;
end;

create or replace function diary.audit_share() returns trigger
language plpgsql
as $$
begin
    if tg_op = 'DELETE' then
        -- What has expired was told when it did.
        if not old.expired then
            insert into diary.audit_event (event, agent, entry_id, grantee, expires_at)
            values (
                case
                    when not exists (select from diary.entry as e where e.id = old.entry_id)
                        then 'share_deleted_with_entry'
                    when diary.is_active(old.expires_at) then 'unshared'
                    else 'share_expired'
                end,
                old.granted_by, old.entry_id, old.grantee, old.expires_at
            );
        end if;
    else
        insert into diary.audit_event (event, agent, entry_id, grantee, expires_at)
        values (
            case when new.expired then 'share_expired' else 'shared' end,
            new.granted_by, new.entry_id, new.grantee, new.expires_at
        );
    end if;
    return null;
end;
$$;

create or replace trigger revocation_is_announced
after delete on diary.share
for each row
when (diary.is_active(old.expires_at))
execute function diary.announce_revocation();

-- Objects whose relation the subject stands in, by itself or in at most max_depth sets, by rules
-- that say whom a relation admits: agents where there is no subject namespace, else members.
create function diary.memberships(
    subject text,
    max_depth bigint,
    namespaces text [],
    relations text [],
    subject_namespaces text [],
    subject_relations text []
) returns table (namespace text, object text, relation text)
language sql stable parallel safe
begin atomic
with recursive admitted as (
    select rule.namespace, rule.relation, rule.subject_namespace, rule.subject_relation
    from unnest(namespaces, relations, subject_namespaces, subject_relations)
        as rule (namespace, relation, subject_namespace, subject_relation)
),
membership (namespace, object, relation, depth) as (
    select t.namespace, t.object, t.relation, 1::bigint
    from diary.relation_tuple as t
    inner join admitted as a on t.namespace = a.namespace and t.relation = a.relation
    where t.subject_id = subject and a.subject_namespace is null
    union
    select t.namespace, t.object, t.relation, m.depth + 1
    from membership as m
    inner join admitted as a
        on m.namespace = a.subject_namespace and m.relation = a.subject_relation
    inner join diary.relation_tuple as t
        on
            m.namespace = t.subject_namespace
            and m.object = t.subject_object
            and m.relation = t.subject_relation
            and a.namespace = t.namespace
            and a.relation = t.relation
    where
        m.depth < max_depth
        -- These follow from the rest, but the index on subject sets wants them said: without, all
        -- that was ever shared with a group is read to find the groups around it.
        and t.subject_id is null
        and t.namespace = any(namespaces)
        and t.relation = any(relations)
)
select distinct m.namespace, m.object, m.relation
from membership as m;
end;
