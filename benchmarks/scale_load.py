"""Puts made-up entries into a database by COPY, with everything that would have come of them."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from time import perf_counter

import click
import psycopg
from psycopg import sql

from diary_mcp.domain.fields import Grantee, GroupName
from diary_mcp.domain.relations import (
    RelationTuple,
    SubjectSet,
    member_tuple,
    owner_tuple,
    viewer_tuple,
)
from diary_mcp.service.ports.index import WORDS_VERSION, Embedder, model_version
from scale_data import (
    EntryMaker,
    MadeEntry,
    Vocabulary,
    Writer,
    describe,
    list_sessions,
    list_writers,
)

Connection = psycopg.Connection[tuple[object, ...]]

_SESSIONS_AT_ONCE = 500
_ENTRY = "entry (id, owner, author, session, type, title, content, tags, importance, supersedes, date, created_at, updated_at, content_hash)"  # noqa: E501  # one list
_ENTRY_TYPES = (
    "uuid", "text", "text", "text", "text", "text", "text", "text[]", "float8", "uuid",
    "timestamptz", "timestamptz", "timestamptz", "text",
)  # fmt: skip
_DOCUMENT = "search_document (entry_id, owner, words_by, vectors_by, words, length, asks, vectors)"
_DOCUMENT_TYPES = ("uuid", "text", "text", "text", "int8", "int8", "bool", "bytea")
_PERMISSION = "entry_permission (entry_id, owner, generation, applied_generation, changed_at)"
_PERMISSION_TYPES = ("uuid", "text", "int8", "int8", "timestamptz")
_TUPLE = "relation_tuple (namespace, object, relation, subject_id, subject_namespace, subject_object, subject_relation)"  # noqa: E501  # one list
_SHARE = "share (entry_id, grantee, granted_by, created_at)"


def load(url: str, entries: int, agents: int, embedder: Embedder) -> list[Writer]:
    """Fills a migrated, empty database, unless it has this very data already; whose it is.

    Raises:
        click.ClickException: it has other data.
    """
    writers = list_writers(entries, agents)
    load_of(url, writers, describe(entries, agents, model_version(embedder.name)), embedder)
    return writers


def load_of(url: str, writers: Sequence[Writer], wanted: str, embedder: Embedder) -> None:
    """The same of these agents; what was made is described as `wanted`.

    Raises:
        click.ClickException: the database has other data.
    """
    entries, agents = sum(writer.entries for writer in writers), len(writers)
    with psycopg.connect(url, autocommit=True) as connection:
        if _is_loaded(connection, wanted):
            return
        started = perf_counter()
        groups = max(1, agents // 50)
        maker = EntryMaker(embedder, Vocabulary(), [writer.name for writer in writers], groups)
        with connection.transaction():
            # Without triggers and foreign keys; what refers to what is right by construction.
            connection.execute("set local session_replication_role = replica")
            connection.execute("set local maintenance_work_mem = '256MB'")
            restored = _drop_indexes(connection, "diary.posting")
            _write_agents(connection, writers, groups)
            _write_entries(connection, maker, writers, model_version(embedder.name))
            for definition in restored:
                connection.execute(definition)
            connection.execute(
                "create table diary_benchmark.made"
                " (description text not null, made_at timestamptz not null default now())"
            )
            connection.execute(
                "insert into diary_benchmark.made (description) values (%s)", (wanted,)
            )
        connection.execute("vacuum analyze")
        click.echo(f"{entries} entries of {agents} agents made in {perf_counter() - started:.0f} s")


def remove_additions(url: str) -> None:
    """Takes away what measuring has written since."""
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in (
            "delete from diary.entry where created_at > (select made_at from diary_benchmark.made)",
            "delete from diary.entry_permission as p where p.applied_generation < p.generation",
            "truncate dbos.workflow_status cascade",
            "vacuum analyze",
        ):
            connection.execute(statement)


def _is_loaded(connection: Connection, wanted: str) -> bool:
    connection.execute("create schema if not exists diary_benchmark")
    (table,) = connection.execute("select to_regclass('diary_benchmark.made')").fetchall()[0]
    if table is not None:
        ((found,),) = connection.execute("select description from diary_benchmark.made").fetchall()
        if found == wanted:
            return True
        raise click.ClickException(f"This database has other data, {found}: name an empty one.")
    if connection.execute("select from diary.entry limit 1").fetchone() is not None:
        raise click.ClickException("This database has a diary in it: name an empty one.")
    return False


def _drop_indexes(connection: Connection, table: str) -> list[sql.SQL]:
    """Drops a table's indexes; the statements that make them again, sorted and at once."""
    rows = connection.execute(
        "select quote_ident(c.conname), pg_get_constraintdef(c.oid), pg_get_indexdef(i.indexrelid),"
        " i.indexrelid::regclass::text from pg_index as i left join pg_constraint as c"
        " on c.conindid = i.indexrelid and c.contype in ('p', 'u') where i.indrelid = %s::regclass",
        (table,),
    ).fetchall()
    restoring: list[str] = []
    for constraint, constraint_definition, index_definition, index in rows:
        if constraint is None:
            connection.execute(_as_sql(f"drop index {index}"))
            restoring.append(str(index_definition))
        else:
            connection.execute(_as_sql(f"alter table {table} drop constraint {constraint}"))
            restoring.append(
                f"alter table {table} add constraint {constraint} {constraint_definition}"
            )
    return [_as_sql(statement) for statement in restoring]


def _write_agents(connection: Connection, writers: Sequence[Writer], groups: int) -> None:
    """Every agent is in one group."""
    names = [GroupName(f"team-{number}") for number in range(groups)]
    _copy(connection, "agent (name)", ["text"], ((writer.name,) for writer in writers))
    _copy(connection, "agent_group (name)", ["text"], ((name,) for name in names))
    members = [
        member_tuple(names[place % groups], Grantee(writer.name))
        for place, writer in enumerate(writers)
    ]
    _copy(connection, _TUPLE, ["text"] * 7, map(_tuple_row, members))


def _write_entries(
    connection: Connection, maker: EntryMaker, writers: Sequence[Writer], model: str
) -> None:
    sessions = iter(list_sessions(writers))
    total = sum(writer.entries for writer in writers)
    with click.progressbar(length=total, label=f"{total} entries") as progress:
        while batch := list(islice(sessions, _SESSIONS_AT_ONCE)):
            made = [entry for writer, number in batch for entry in maker.session(writer, number)]
            # Many write at once: what an agent wrote does not stand together.
            made.sort(key=lambda entry: entry.created_at)
            _write_batch(connection, made, model)
            progress.update(len(made))


def _write_batch(connection: Connection, made: Sequence[MadeEntry], model: str) -> None:
    shared = [entry for entry in made if entry.shared_with is not None]
    _copy(connection, _ENTRY, _ENTRY_TYPES, map(_entry_row, made))
    _copy(connection, _DOCUMENT, _DOCUMENT_TYPES, (_document_row(entry, model) for entry in made))
    _copy_postings(connection, made)
    _copy(connection, _PERMISSION, _PERMISSION_TYPES, map(_permission_row, made))
    _copy(connection, _SHARE, ("uuid", "text", "text", "timestamptz"), map(_share_row, shared))
    _copy(connection, _TUPLE, ["text"] * 7, _tuple_rows(made))


def _copy(
    connection: Connection, target: str, types: Sequence[str], rows: Iterable[Sequence[object]]
) -> None:
    statement = _as_sql(f"copy diary.{target} from stdin (format binary)")
    with connection.cursor().copy(statement) as copy:
        copy.set_types(types)
        for row in rows:
            copy.write_row(row)


def _copy_postings(connection: Connection, made: Sequence[MadeEntry]) -> None:
    """As text, which is quicker for short rows; no term has anything to escape."""
    statement = "copy diary.posting (owner, term, entry_id, count) from stdin"
    with connection.cursor().copy(statement) as copy:
        for entry in made:
            owner, entry_id = entry.text.owner, entry.text.id
            copy.write(
                "".join(f"{owner}\t{term}\t{entry_id}\t{count}\n" for term, count in entry.terms)
            )


def _entry_row(entry: MadeEntry) -> Sequence[object]:
    text, at = entry.text, entry.created_at
    return (
        text.id, text.owner, text.author, entry.session, entry.type, text.title, text.content,
        list(text.tags), entry.importance, entry.supersedes, at, at, at, entry.content_hash,
    )  # fmt: skip


def _document_row(entry: MadeEntry, model: str) -> Sequence[object]:
    return (
        entry.text.id, entry.text.owner, WORDS_VERSION, model, entry.words,
        len(entry.text.content), entry.asks, entry.vectors,
    )  # fmt: skip


def _permission_row(entry: MadeEntry) -> Sequence[object]:
    """Settled: a share is one more change."""
    generation = 1 if entry.shared_with is None else 2
    return entry.text.id, entry.text.owner, generation, generation, entry.created_at


def _share_row(entry: MadeEntry) -> Sequence[object]:
    return entry.text.id, entry.shared_with, entry.text.owner, entry.created_at


def _tuple_rows(made: Sequence[MadeEntry]) -> Iterator[Sequence[object]]:
    for entry in made:
        yield _tuple_row(owner_tuple(entry.text.id, entry.text.owner))
        if entry.shared_with is not None:
            yield _tuple_row(viewer_tuple(entry.text.id, Grantee(entry.shared_with)))


def _tuple_row(row: RelationTuple) -> Sequence[object]:
    held = row.subject
    subject = (
        (None, held.namespace, held.object, held.relation)
        if isinstance(held, SubjectSet)
        else (held, None, None, None)
    )
    return row.namespace, row.object, row.relation, *subject


def _as_sql(statement: str) -> sql.SQL:
    return sql.SQL(statement)  # pyright: ignore[reportArgumentType]  # names are our own
