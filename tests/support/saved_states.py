"""States of a diary's database, saved beside it and brought back, as a backup would be.

Only the rows: what the permission backend holds stays as it is, since it is another system, and
knows what was settled after the backup.
"""

import psycopg

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


def _tables(connection: psycopg.Connection) -> list[tuple[str, str, str]]:
    return [(str(a), str(b), str(c)) for a, b, c in connection.execute(_TABLES).fetchall()]
