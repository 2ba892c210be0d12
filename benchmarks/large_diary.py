"""How long a search of a large diary takes, what it keeps, and how near the exact ranking it is.

    uv run python benchmarks/large_diary.py [--entries 200000] [--compared 40] [--page FILE]

The diary is searched by its owner, as all that it has written, and as a team's diary by another
agent that may read it. The data set is made once, as those of `scale.py` are, and the next run
finds it. For the exact ranking the same diary is kept whole, which takes a gigabyte for each
million. With `--pgvector`, what an index of that extension needs for the vectors alone is measured
too, where PostgreSQL has it.
"""

import asyncio
import inspect
import resource
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, process_time

import click
import psycopg
from platformdirs import user_cache_path

from diary_mcp.app import Foundation, open_foundation
from diary_mcp.domain.entry import EntryFilters, SearchHit
from diary_mcp.domain.fields import AgentName
from diary_mcp.embeddings.model_process import OfflineEmbedder
from diary_mcp.opening import open_postgres
from diary_mcp.service.entries.access import Access
from diary_mcp.service.ports.index import Embedder, model_version
from diary_mcp.service.search import cache
from diary_mcp.service.search.search import SearchService
from diary_mcp.settings import Settings
from diary_mcp.store import search as store_search
from diary_mcp.store.database import WaitLimits, open_database
from large_pgvector import measure_pgvector
from processes import MIB, MINUTES, cpu_s, describe_machine, family_below
from quantiles import quantile
from scale_data import Vocabulary, Writer, describe, questions
from scale_load import load_of

ALONE, MEMBER = AgentName("alone"), AgentName("member")
OWN = EntryFilters(scope="all", include_superseded=False)
TEAMS = EntryFilters(scope="all", include_superseded=False, diary="alone/team")
READERS = {"its owner's": (ALONE, OWN), "a team's": (MEMBER, TEAMS)}
EVERYTHING_FITS = 2**40
_FOR_LONG = "options=-c%20statement_timeout%3D0"
_OPEN = (
    "insert into diary.agent (name) values ('member')",
    "insert into diary.diary (owner, name, is_placed) values ('alone', 'team', true)",
    """
    insert into diary.diary_permission (diary_id, applied_generation)
    select id, 1 from diary.diary
    """,
    """
    insert into diary.diary_role (diary_id, grantee, role, granted_by)
    select d.id, 'member', 'viewer', d.owner from diary.diary as d
    """,
    """
    insert into diary.relation_tuple (namespace, object, relation, subject_id)
    select 'Diary', r.diary_id::text, r.role, r.grantee from diary.diary_role as r
    union all
    select 'Diary', d.id::text, 'owner', d.owner from diary.diary as d
    """,
    "update diary.entry set diary_id = (select id from diary.diary)",
    "update diary.search_document set diary_id = (select id from diary.diary)",
)
PAGE = (
    "# A large diary",
    "",
    "`uv run python benchmarks/large_diary.py {}--page docs/performance/large.md` wrote this page.",
    "What is in the data stands in [performance.md](../performance.md#a-large-diary).",
    "",
)
HEAD = (
    (
        "| entries | searched as | n | p50 ms | p99 ms | CPU ms | of PostgreSQL and the model, ms "
        "| first search, s | MiB at most | recall@10 |"
    ),
    "|---|---|---|---|---|---|---|---|---|---|",
)


PGVECTOR_HEAD = (
    (
        "The vectors of the passages alone, in an index of pgvector: HNSW over `halfvec`, searched "
        "for ten passages of one diary with iterative scans."
    ),
    "",
    (
        "| entries | passages | ef_search | n | p50 ms | p99 ms | made in, s | of the index, MiB "
        "| recall@10 |"
    ),
    "|---|---|---|---|---|---|---|---|---|",
)


@dataclass(frozen=True)
class Taken:
    """What some searches took and found; times in milliseconds."""

    durations: Sequence[float]
    own_cpu: float
    others_cpu: float
    hits: Sequence[Sequence[SearchHit]]

    def __str__(self) -> str:
        p99 = quantile(self.durations, 99)
        return (
            f"{len(self.durations)} | {statistics.median(self.durations):.1f} | {p99:.1f} | "
            f"{self.own_cpu:.1f} | {self.others_cpu:.1f}"
        )


class Searches:
    """The same questions, asked of one service by one reader."""

    def __init__(
        self, foundation: Foundation, embedder: Embedder, home: Path, large_from: int | None
    ) -> None:
        access = Access(foundation.store, foundation.permissions)
        self._home = home
        self._service = SearchService(
            foundation.store, foundation.permissions, access, embedder, large_from=large_from
        )

    async def ask(self, whose: str, query: str) -> Sequence[SearchHit]:
        reader, filters = READERS[whose]
        page = await self._service.search(
            reader, query, filters, mode="hybrid", cursor=None, limit=10
        )
        return page.rows

    async def ask_all(self, whose: str, queries: Sequence[str]) -> Taken:
        durations: list[float] = []
        hits: list[Sequence[SearchHit]] = []
        own, others = process_time(), cpu_s(family_below(self._home))
        for query in queries:
            started = perf_counter()
            hits.append(await self.ask(whose, query))
            durations.append((perf_counter() - started) * 1_000)
        each = 1_000 / len(queries)
        return Taken(
            durations,
            (process_time() - own) * each,
            (cpu_s(family_below(self._home)) - others) * each,
            hits,
        )


def open_to_team(url: str) -> None:
    """Puts all entries into a diary that another agent may read."""
    with psycopg.connect(url, autocommit=True) as connection:
        if connection.execute("select from diary.diary").fetchone() is not None:
            return
        with connection.transaction():
            connection.execute("set local session_replication_role = replica")
            for statement in _OPEN:
                connection.execute(statement.encode())
        connection.execute("vacuum analyze")


@dataclass(frozen=True)
class Measured:
    """One reader's searches of one diary."""

    settings: Settings
    entries: int
    whose: str
    queries: Sequence[str]
    taken: Taken
    first_s: float
    peak_mib: int

    def row(self, recall: str) -> str:
        return (
            f"| {self.entries} | {self.whose} | {self.taken} | {self.first_s:.1f} | "
            f"{self.peak_mib} | {recall} |"
        )


async def measure(settings: Settings, entries: int, rounds: int) -> list[Measured]:
    embedder = OfflineEmbedder()
    async with open_foundation(settings), open_postgres(settings) as url:
        wanted = describe(entries, 1, f"one diary; {model_version(embedder.name)}")
        await asyncio.to_thread(load_of, url, [Writer(ALONE, entries)], wanted, embedder)
        await asyncio.to_thread(open_to_team, url)
    measured: list[Measured] = []
    for whose in READERS:
        async with open_foundation(settings) as foundation:
            queries = list(questions(Vocabulary(), rounds, seed=1))
            outlined = Searches(foundation, embedder, settings.data_dir, 0)
            started = perf_counter()
            await outlined.ask(whose, queries[0])
            first_s = perf_counter() - started
            taken = await outlined.ask_all(whose, queries)
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 // MIB
            measured.append(Measured(settings, entries, whose, queries, taken, first_s, peak))
            click.echo(measured[-1].row("not compared"))
    return measured


async def find_recall(measured: Measured, compared: int) -> str:
    """How many of the best ten of the exact ranking are among those that were found."""
    if not compared:
        return "not compared"
    settings, hits = measured.settings, measured.taken.hits[:compared]
    shared = total = 0
    async with open_postgres(settings) as url:
        patient = Settings.model_validate(
            {"data_dir": settings.data_dir, "database_url": f"{url}&{_FOR_LONG}"}
        )
        async with open_foundation(patient) as foundation:
            exact = Searches(foundation, OfflineEmbedder(), settings.data_dir, EVERYTHING_FITS)
            for found, query in zip(hits, measured.queries, strict=False):
                best = await exact.ask(measured.whose, query)
                shared += len({hit.id for hit in found} & {hit.id for hit in best})
                total += len(best)
    return f"{shared / total:.3f}"


async def measure_vectors(settings: Settings, entries: int, rounds: int, rows: list[str]) -> None:
    async with open_foundation(settings), open_postgres(settings) as url:
        queries = list(questions(Vocabulary(), rounds, seed=1))
        vectors = OfflineEmbedder().embed(queries)
        told = await asyncio.to_thread(measure_pgvector, url, vectors)
        rows += [f"| {entries} | {each} |" for each in told]
        click.echo("\n".join(rows[-len(told) :]))


@click.command()
@click.option("--entries", "sizes", type=int, multiple=True, default=(200_000,), show_default=True)
@click.option("--compared", default=40, show_default=True, help="With the exact ranking.")
@click.option("--rounds", default=200, show_default=True)
@click.option("--pgvector", is_flag=True, help="An index of the vectors, of the first size.")
@click.option("--page", type=click.Path(dir_okay=False, path_type=Path), help="Written to, too.")
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=user_cache_path("diary-mcp-benchmark"),
)
def main(
    *,
    sizes: tuple[int, ...],
    compared: int,
    rounds: int,
    pgvector: bool,
    page: Path | None,
    folder: Path,
) -> None:
    """Print what a search takes, and recall@10."""
    # What ranks exactly keeps everything, and reads it at once, for longer than a call may.
    cache.DocumentCache.__init__.__defaults__ = (EVERYTHING_FITS,)
    # And what misspelt words stand for it guesses from all words.
    setattr(store_search, "MAX_VOCABULARY", EVERYTHING_FITS)  # noqa: B010  # not exported
    inspect.unwrap(open_database).__kwdefaults__["waits"] = WaitLimits(answer_s=MINUTES * 60)
    machine = describe_machine(quick=False)
    rows: list[str] = list(HEAD)
    click.echo("\n".join(rows))
    measured: list[Measured] = []
    for entries in sizes:
        settings = Settings(data_dir=folder / f"large-{entries}")
        measured += asyncio.run(measure(settings, entries, rounds))
    # After all: what ranks exactly takes memory that the next would be charged with.
    for each in measured:
        rows.append(each.row(asyncio.run(find_recall(each, compared))))
        click.echo(rows[-1])
    if pgvector:
        rows += ["", *PGVECTOR_HEAD]
        settings = Settings(data_dir=folder / f"large-{sizes[0]}")
        asyncio.run(measure_vectors(settings, sizes[0], rounds, rows))
    if page is not None:
        asked = "".join(f"--entries {entries} " for entries in sizes) + "--pgvector " * pgvector
        head = [line.format(asked) for line in PAGE]
        page.write_text("\n".join((*head, f"Measured {machine}.", "", *rows, "")), "utf-8")


if __name__ == "__main__":
    main()
