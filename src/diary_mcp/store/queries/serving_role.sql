-- name: let_serve
select diary.let_serve(%(role)s)

-- name: list_missing
-- What the role, or else the current one, needs to serve and does not have.
with asking as (
    select coalesce(%(role)s::name, current_user) as name
),
object as (
    select c.oid, n.nspname, c.relname, c.relkind
    from pg_class as c
    inner join pg_namespace as n on n.oid = c.relnamespace
    where n.nspname in ('diary', 'dbos') and c.relkind in ('r', 'p', 'v')
),
wanted (grant_text, is_held) as (
    select
        'usage on schema ' || n.nspname,
        has_schema_privilege(asking.name, n.oid, 'usage')
    from asking, pg_namespace as n
    where n.nspname in ('diary', 'dbos')
    union all
    select
        privilege || ' on ' || object.nspname || '.' || object.relname,
        has_table_privilege(asking.name, object.oid, privilege)
    from asking, object, unnest(array['select', 'insert', 'update', 'delete']) as privilege
    where
        privilege = 'select'
        or (
            object.relkind <> 'v'
            and object.relname <> 'dbos_migrations'
            and (object.relname <> 'audit_event' or privilege = 'insert')
        )
    union all
    select
        'select on public.diary_migration', has_table_privilege(asking.name, c.oid, 'select')
    from asking, pg_class as c
    inner join pg_namespace as n on n.oid = c.relnamespace
    where n.nspname = 'public' and c.relname = 'diary_migration'
    union all
    select
        'execute on function dbos.' || p.proname,
        has_function_privilege(asking.name, p.oid, 'execute')
    from asking, pg_proc as p
    inner join pg_namespace as n on n.oid = p.pronamespace
    where n.nspname = 'dbos' and p.proname = 'enqueue_workflow'
    union all
    select
        'temporary on database ' || current_database(),
        has_database_privilege(asking.name, current_database(), 'temporary')
    from asking
)
select wanted.grant_text
from wanted
where not wanted.is_held
order by wanted.grant_text

-- name: list_excess
-- What the current role can and need not be able to.
with asking as (
    select r.oid, r.rolsuper, r.rolbypassrls, r.rolcreaterole
    from pg_roles as r
    where r.rolname = current_user
)
select excess.told
from asking
cross join lateral (
    select 'is a superuser' as told where asking.rolsuper
    union all
    select 'bypasses row-level security' where asking.rolbypassrls and not asking.rolsuper
    union all
    select 'makes roles' where asking.rolcreaterole and not asking.rolsuper
    union all
    select 'owns tables of the schema ' || n.nspname
    from pg_namespace as n
    where
        n.nspname in ('diary', 'dbos')
        and exists (
            select
            from pg_class as c
            where
                c.relnamespace = n.oid
                and c.relkind = 'r'
                and (
                    c.relowner = asking.oid
                    or (not asking.rolsuper and pg_has_role(asking.oid, c.relowner, 'member'))
                )
        )
    union all
    select 'changes or removes lines of the audit trail'
    from pg_class as c
    inner join pg_namespace as n on n.oid = c.relnamespace
    where
        n.nspname = 'diary'
        and c.relname = 'audit_event'
        and has_table_privilege(asking.oid, c.oid, 'update, delete, truncate')
) as excess
order by excess.told
