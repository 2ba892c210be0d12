"""How long a team's diary takes beside one agent's of the same size, in the same run.

    uv run python benchmarks/scale_team.py [--entries 20000]… [--page FILE]

Fifty agents have written as many entries into one diary as another agent has in its `main`. The
data set is made once, as that of `scale.py`, and the next run finds it.
"""

import asyncio
from collections.abc import Sequence
from functools import partial
from itertools import cycle
from pathlib import Path

import click
import psycopg
from platformdirs import user_cache_path

from diary_mcp.app import open_foundation
from diary_mcp.domain.entry import EntryDraft, EntryFilters, SearchMode
from diary_mcp.domain.fields import AgentName
from diary_mcp.embeddings.model_process import OfflineEmbedder
from diary_mcp.opening import open_postgres
from diary_mcp.service.diary import Diary
from diary_mcp.service.ports.index import model_version
from diary_mcp.service.ports.reflection import EntrySelection
from diary_mcp.settings import Settings
from processes import describe_machine
from scale import Operation, Table
from scale_data import Vocabulary, Writer, describe, questions
from scale_load import load_of, remove_additions

MEMBERS = 50
ALONE, OWNER = AgentName("alone"), AgentName("member-0")
AGENTS, TEAMS = "one agent's", "a team's"
DIARIES = {AGENTS: "alone/main", TEAMS: "member-0/team"}
MODES: tuple[SearchMode, ...] = ("text", "semantic", "hybrid")
_GATHER = (
    "insert into diary.diary (owner, name, is_placed) values ('member-0', 'team', true)",
    """
    insert into diary.diary_permission (diary_id, applied_generation)
    select id, 1 from diary.diary
    """,
    """
    insert into diary.diary_role (diary_id, grantee, role, granted_by)
    select d.id, a.name, 'writer', d.owner from diary.diary as d
    inner join diary.agent as a on a.name like 'member-%' and a.name <> d.owner
    """,
    """
    insert into diary.relation_tuple (namespace, object, relation, subject_id)
    select 'Diary', r.diary_id::text, r.role, r.grantee from diary.diary_role as r
    union all
    select 'Diary', d.id::text, 'owner', d.owner from diary.diary as d
    """,
    """
    update diary.entry set diary_id = (select id from diary.diary) where owner like 'member-%'
    """,
    """
    update diary.search_document set diary_id = (select id from diary.diary)
    where owner like 'member-%'
    """,
    """
    update diary.entry as older set superseded_by = newer.id
    from diary.entry as newer where newer.supersedes = older.id
    """,
    """
    insert into diary.relation_tuple
    (namespace, object, relation, subject_namespace, subject_object, subject_relation)
    select 'DiaryEntry', e.id::text, 'parent', 'Diary', e.diary_id::text, ''
    from diary.entry as e where e.diary_id is not null
    """,
    "update diary.entry_permission set placed_generation = generation",
)

PAGE = (
    "# A team's diary at scale",
    "",
    "`uv run python benchmarks/scale_team.py --page docs/performance/team.md` wrote this page.",
    f"A diary that {MEMBERS} agents have written, read and written to by one of them who does not",
    "own it, beside the `main` of one agent with as many entries, in the same run.",
    "",
)
RATIOS = (
    "| entries | operation | clients | a team's p50, in times of one agent's |",
    "|---|---|---|---|",
)
HEAD = (
    "| entries | whose diary | operation | clients | n | p50 ms | p99 ms |",
    "|---|---|---|---|---|---|---|",
)


def list_writers(entries: int) -> list[Writer]:
    members = [Writer(AgentName(f"member-{i}"), entries // MEMBERS) for i in range(MEMBERS)]
    return [Writer(ALONE, entries), *members]


def gather(url: str) -> None:
    """Puts what the members wrote into the diary of one of them, in which all may write."""
    with psycopg.connect(url, autocommit=True) as connection:
        if connection.execute("select from diary.diary").fetchone() is not None:
            return
        with connection.transaction():
            connection.execute("set local session_replication_role = replica")
            for statement in _GATHER:
                connection.execute(statement.encode())
        connection.execute("vacuum analyze")


def operations(diary: Diary, name: str, queries: Sequence[str]) -> dict[str, Operation]:
    """What is timed, in the diary of this name."""
    asked = cycle(queries)
    filters = EntryFilters(scope="all", include_superseded=False, diary=name)

    async def search(mode: SearchMode, agent: AgentName) -> None:
        await diary.search.search(agent, next(asked), filters, mode=mode, cursor=None, limit=10)

    async def create(agent: AgentName) -> None:
        content = f"What was found out about {next(asked)}, and why. " * 4
        await diary.entries.create(agent, EntryDraft(content=content, diary=name))

    return {
        **{f"search, {mode}": partial(search, mode) for mode in MODES},
        "list": lambda agent: diary.listing.list_entries(agent, filters, None, 20),
        "reflect": lambda agent: diary.reflection.reflect(EntrySelection(agent), 50, diary=name),
        "tags": lambda agent: diary.listing.list_tags(agent, "", 50, diary=name),
        "create": create,
    }


async def measure(settings: Settings, entries: int, table: Table) -> None:
    embedder, writers = OfflineEmbedder(), list_writers(entries)
    wanted = describe(2 * entries, len(writers), f"a team; {model_version(embedder.name)}")
    # As the owner of the schema: whom the diary is served by may not make up entries.
    async with open_foundation(settings), open_postgres(settings) as url:
        await asyncio.to_thread(load_of, url, writers, wanted, embedder)
        await asyncio.to_thread(gather, url)
    # Opened again: the statements that were prepared knew an empty database.
    async with open_foundation(settings) as foundation:
        queries = list(questions(Vocabulary(), 2_000, seed=1))
        timed = {
            whose: operations(foundation.diary, name, queries) for whose, name in DIARIES.items()
        }
        readers = {AGENTS: [writers[0]], TEAMS: [writers[2]]}
        for name in timed[TEAMS]:
            for whose, those in timed.items():
                for reader in readers[whose]:
                    await those[name](reader.name)
                await table.measure(name, those[name], readers[whose], whose=whose)
        await asyncio.to_thread(remove_additions, url)


def compare(rows: Sequence[str]) -> list[str]:
    """How many times one agent's p50 a team's is, by operation and clients."""
    measured = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    p50 = {(*row[:1], *row[2:4], row[1]): float(row[5]) for row in measured}
    return [
        f"| {' | '.join(which)} | {p50[*which, TEAMS] / took:.1f} |"
        for (*which, whose), took in p50.items()
        if whose == AGENTS
    ]


@click.command()
@click.option(
    "--entries",
    "sizes",
    type=int,
    multiple=True,
    default=(20_000,),
    show_default=True,
    help="In each of the two; repeatable.",
)
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=user_cache_path("diary-mcp-benchmark"),
)
@click.option("--page", type=click.Path(dir_okay=False, path_type=Path), help="Written to, too.")
@click.option("--rounds", default=200, show_default=True)
@click.option("--clients", type=int, multiple=True, default=(1, 8), show_default=True)
def main(
    *,
    sizes: tuple[int, ...],
    folder: Path,
    page: Path | None,
    rounds: int,
    clients: tuple[int, ...],
) -> None:
    """Print p50 and p99 of each operation."""
    machine = describe_machine(quick=False)
    rows: list[str] = []
    click.echo("\n".join(HEAD))
    for entries in sizes:
        settings = Settings(data_dir=folder / f"team-{entries}")
        asyncio.run(measure(settings, entries, Table(entries, rounds, clients, rows)))
    compared = [*RATIOS, *compare(rows)]
    click.echo("\n".join(("", *compared)))
    if page is not None:
        text = (*PAGE, f"Measured {machine}.", "", *compared, "", *HEAD, *rows, "")
        page.write_text("\n".join(text), "utf-8")


if __name__ == "__main__":
    main()
