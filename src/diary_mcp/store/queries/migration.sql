-- name: create_ledger
-- The ledger lives outside the schema that the first migration creates.
create table if not exists public.diary_migration (
    name text primary key,
    sha256 text not null,
    applied_at timestamptz not null default clock_timestamp()
)

-- name: ledger_exists
-- Also where the role may not use the schema, and would not be told by a name.
select exists (
    select
    from pg_class as c
    inner join pg_namespace as n on n.oid = c.relnamespace
    where n.nspname = 'public' and c.relname = 'diary_migration'
)

-- name: schema_exists
select to_regnamespace('diary') is not null

-- name: list_applied
select m.name, m.sha256
from public.diary_migration as m
order by m.name

-- name: record_migration
insert into public.diary_migration (name, sha256) values (%(name)s, %(sha256)s)

-- name: rename_migrations
update public.diary_migration as m
set name = file.name
from unnest(%(names)s::text [], %(hashes)s::text []) as file (name, sha256)
where m.sha256 = file.sha256 and m.name <> file.name

-- name: lock_migrations
-- Held to the end of the transaction: processes that start at once migrate one after another.
select pg_advisory_xact_lock(hashtextextended('diary-mcp migrations', 0))

-- name: lock_workflow_schema
-- Whether it was free. Held until the connection ends, while DBOS makes its tables on connections of
-- its own.
select pg_try_advisory_lock(hashtextextended('diary-mcp workflow schema', 0))

-- name: bound_waiting
-- A migration that waits for a busy table makes everybody behind it wait as well.
set local lock_timeout = '10s'
