"""States of a diary's database: saved beside it and brought back, as a backup would be, or of an
earlier version.

A saved state is only the rows: what the permission backend holds stays as it is, since it is
another system, and knows what was settled after the backup.
"""

import hashlib
from collections.abc import Mapping

import psycopg

from diary_mcp.package_data import resource_path

_NO_OTHER_NAMES: Mapping[str, str] = {}
# Before 0015 the newer entry named the older one, which it alone could do.
_LINK_AS_BEFORE = """
update kept."diary.entry" as newer
set supersedes = older.id
from kept."diary.entry" as older
where older.superseded_by = newer.id
"""
_TUPLE = (
    "namespace, object, relation, subject_id, subject_namespace, subject_object, subject_relation"
)
_TABLES = """
select
    format('%I.%I', c.table_schema, c.table_name),
    quote_ident(c.table_schema || '.' || c.table_name),
    string_agg(quote_ident(c.column_name), ', ' order by c.ordinal_position)
from information_schema.columns as c
inner join information_schema.tables as t using (table_schema, table_name)
where
    t.table_type = 'BASE TABLE'
    and c.table_schema in ('diary', 'dbos')
    and c.is_generated = 'NEVER'
    and (c.table_schema, c.table_name) <> ('diary', 'relation_tuple')
group by c.table_schema, c.table_name
"""


def save_state(url: str, name: str) -> None:
    """Keeps the rows as they are now, in place of what was kept under this name."""
    with psycopg.connect(url) as connection:
        statements = [f"drop schema if exists {name} cascade", f"create schema {name}"]
        for table, saved, columns in _tables(connection):
            statements.append(f"create table {name}.{saved} as select {columns} from {table}")
        connection.execute(";".join(statements).encode())


def restore_state(url: str, name: str) -> None:
    """Brings the rows back that were kept under this name; no process may be at work on them."""
    with psycopg.connect(url) as connection:
        # Without triggers: they would tell, sign and announce what has long happened.
        statements = ["set local session_replication_role = replica"]
        for table, saved, columns in _tables(connection):
            # Cheaper than to truncate, of few rows.
            statements.append(f"delete from {table}")
            source = f"select {columns} from {name}.{saved}"
            statements.append(f"insert into {table} ({columns}) overriding system value {source}")
        connection.execute(";".join(statements).encode())


def make_schema(
    connection: psycopg.Connection, before: str, names: Mapping[str, str] = _NO_OTHER_NAMES
) -> None:
    """Makes the schema anew, empty, of the migrations that come `before` this one.

    The ledger has them by these `names`, where they had others.
    """
    connection.execute("drop schema diary cascade")
    connection.execute("truncate public.diary_migration")
    for path in sorted(resource_path("migrations").glob("*.sql")):
        if path.name < before:
            content = path.read_bytes()
            connection.execute(content)
            connection.execute(
                "insert into public.diary_migration (name, sha256) values (%s, %s)",
                (names.get(path.name, path.name), hashlib.sha256(content).hexdigest()),
            )


def go_back(url: str, before: str) -> None:
    """Makes the database what it was `before` this migration, one of the last.

    Rows and tuples stay, as far as there was a place for them.
    """
    save_state(url, "kept")
    with psycopg.connect(url) as connection:
        connection.execute(_LINK_AS_BEFORE)
        connection.execute(f"create table kept.tuples as select {_TUPLE} from diary.relation_tuple")
        make_schema(connection, before)
        connection.execute(f"insert into diary.relation_tuple select {_TUPLE} from kept.tuples")
    restore_state(url, "kept")


def _tables(connection: psycopg.Connection) -> list[tuple[str, str, str]]:
    return [(str(a), str(b), str(c)) for a, b, c in connection.execute(_TABLES).fetchall()]
