"""How long search, lists, reflection and writes take among many entries of many agents.

    uv run python benchmarks/scale.py [--entries 20000 --entries 1000000] [--page FILE]

Each data set is made once, in a folder of its own with an embedded PostgreSQL, and found again
by the next run; `--database` names an empty database instead, for one data set. Everything is
called as a tool calls it, in this process, without MCP around it. One table is printed, and
written to `--page` with the machine that it was measured on.
"""

import asyncio
import resource
import statistics
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from random import Random
from time import perf_counter

import click
from platformdirs import user_cache_path

from diary_mcp.app import Foundation, open_foundation
from diary_mcp.domain.entry import EntryDraft, EntryFilters, SearchMode
from diary_mcp.domain.fields import AgentName
from diary_mcp.embeddings.model_process import OfflineEmbedder
from diary_mcp.opening import open_postgres
from diary_mcp.service.entries.access import Access
from diary_mcp.service.ports.reflection import EntrySelection
from diary_mcp.service.search.search import SearchService
from diary_mcp.settings import Settings
from processes import describe_machine
from quantiles import quantile
from scale_data import Vocabulary, Writer, questions
from scale_load import load, remove_additions

MODES: tuple[SearchMode, ...] = ("text", "semantic", "hybrid")
ALL = EntryFilters(scope="all", include_superseded=False)
LISTED = EntryFilters(scope="all")
FILTERED = EntryFilters(scope="all", include_superseded=False, min_importance=0.5)

Operation = Callable[[AgentName], Awaitable[object]]


@dataclass(frozen=True)
class Measured:
    """How long one operation took, each time, in milliseconds."""

    entries: int
    agent: str
    name: str
    clients: int
    durations: Sequence[float]

    def __str__(self) -> str:
        p99 = quantile(self.durations, 99)
        return (
            f"| {self.entries} | {self.agent} | {self.name} | {self.clients} | "
            f"{len(self.durations)} | {statistics.median(self.durations):.1f} | {p99:.1f} |"
        )


class Operations:
    """What is timed, on one data set."""

    def __init__(self, foundation: Foundation, vocabulary: Vocabulary) -> None:
        self._foundation = foundation
        self._diary = foundation.diary
        self._embedder = OfflineEmbedder()
        self._queries = list(questions(vocabulary, 2_000, seed=1))
        self._asked = count()

    def searches(self) -> dict[str, Operation]:
        return {
            **{
                f"search, {mode}": partial(self._search, self._diary.search, mode, ALL)
                for mode in MODES
            },
            "search, hybrid, filtered": partial(
                self._search, self._diary.search, "hybrid", FILTERED
            ),
        }

    def others(self) -> dict[str, Operation]:
        listing, reflection = self._diary.listing, self._diary.reflection
        diaries = self._diary.diaries
        return {
            "list": lambda agent: listing.list_entries(agent, LISTED, None, 20),
            "reflect": lambda agent: reflection.reflect(EntrySelection(agent), 50),
            "context": reflection.recall,
            "tags": lambda agent: listing.list_tags(agent, "", 50),
            "shares": lambda agent: diaries.list_shares(agent, None, None, 50),
        }

    async def search(self, agent: AgentName) -> None:
        await self._search(self._diary.search, "hybrid", ALL, agent)

    async def search_anew(self, agent: AgentName) -> None:
        """As in a process that keeps nothing of the agent yet, but has loaded the model."""
        store, permissions = self._foundation.store, self._foundation.permissions
        service = SearchService(store, permissions, Access(store, permissions), self._embedder)
        await self._search(service, "hybrid", ALL, agent)

    async def embed(self, _agent: AgentName) -> None:
        await asyncio.to_thread(self._embedder.embed, [self._next_query()])

    async def write_and_index(self, agent: AgentName) -> None:
        await self.create(agent)
        await self._foundation.indexer.index_waiting()

    async def create(self, agent: AgentName) -> None:
        content = f"What was found out about {self._next_query()}, and why. " * 4
        await self._diary.entries.create(agent, EntryDraft(content=content))

    async def _search(
        self, service: SearchService, mode: SearchMode, filters: EntryFilters, agent: AgentName
    ) -> None:
        query = self._next_query()
        await service.search(agent, query, filters, mode=mode, cursor=None, limit=10)

    def _next_query(self) -> str:
        return self._queries[next(self._asked) % len(self._queries)]


PAGE = (
    "# Search, lists and writes at scale",
    "",
    "`uv run python benchmarks/scale.py --page docs/performance/scale.md` wrote this page.",
    "What is in the data, and what the rows are, stands in",
    "[performance.md](../performance.md#search-and-lists-at-scale).",
    "",
)
HEAD = (
    "| entries | the agent's own | operation | clients | n | p50 ms | p99 ms |",
    "|---|---|---|---|---|---|---|",
)


class Table:
    """Times operations, prints a row for each, and keeps it in `rows`."""

    def __init__(self, entries: int, rounds: int, clients: Sequence[int], rows: list[str]) -> None:
        self._entries = entries
        self._rows = rows
        self._rounds = rounds
        self._clients = clients

    async def measure(
        self,
        name: str,
        operation: Operation,
        agents: Sequence[Writer],
        *,
        before: Operation | None = None,
        share: float = 1,
        whose: str | None = None,
    ) -> None:
        """With each number of clients; `before` is done each time and not timed."""
        rounds = max(10, int(self._rounds * share))
        for clients in self._clients if before is None else (1,):
            randomly = Random(clients)
            order = iter([randomly.choice(agents).name for _ in range(rounds)])
            durations: list[float] = []
            await asyncio.gather(
                *(_client(operation, order, durations, before) for _ in range(clients))
            )
            sizes = {agent.entries for agent in agents}
            shown = whose or (f"{agents[0].entries}" if len(sizes) == 1 else "any")
            self._rows.append(str(Measured(self._entries, shown, name, clients, durations)))
            click.echo(self._rows[-1])


async def _client(
    operation: Operation,
    agents: Iterator[AgentName],
    durations: list[float],
    before: Operation | None,
) -> None:
    for agent in agents:
        if before is not None:
            await before(agent)
        started = perf_counter()
        await operation(agent)
        durations.append((perf_counter() - started) * 1_000)


async def measure(settings: Settings, entries: int, agents: int, table: Table) -> None:
    # As the owner of the schema: whom the diary is served by may not make up entries.
    async with open_foundation(settings), open_postgres(settings) as url:
        embedder = OfflineEmbedder()
        writers = await asyncio.to_thread(load, url, entries, agents, embedder)
    # Opened again: the statements that were prepared knew an empty database.
    async with open_foundation(settings) as foundation:
        operations = Operations(foundation, Vocabulary())
        await operations.search(writers[0].name)
        await table.measure("the model's vector of a query", operations.embed, writers[:1])
        for writer in (_one(writers, name) for name in ("small-0", "medium-0", "large-0")):
            await operations.search(writer.name)
            for name, operation in operations.searches().items():
                await table.measure(name, operation, [writer])
            await table.measure(
                "search, hybrid, kept nothing", operations.search_anew, [writer], share=0.2
            )
            await table.measure(
                "search, hybrid, after a write", operations.search, [writer],
                before=operations.write_and_index, share=0.1,
            )  # fmt: skip
            for name, operation in operations.others().items():
                await table.measure(name, operation, [writer])
        for name, operation in {**operations.searches(), **operations.others()}.items():
            await table.measure(name, operation, writers)
        await table.measure("create", operations.create, writers)
        await asyncio.to_thread(remove_additions, url)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        click.echo(f"\nmost memory of this process so far: {peak} MiB\n")


def _one(writers: Sequence[Writer], name: str) -> Writer:
    return next(writer for writer in writers if writer.name == name)


@click.command()
@click.option(
    "--entries", "sizes", type=int, multiple=True, default=(20_000, 1_000_000), show_default=True
)
@click.option("--agents", type=int, help="One for each thousand entries, unless given.")
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=user_cache_path("diary-mcp-benchmark"),
)
@click.option("--database", help="The URL of an empty database, for one data set.")
@click.option("--page", type=click.Path(dir_okay=False, path_type=Path), help="Written to, too.")
@click.option("--rounds", default=200, show_default=True)
@click.option("--clients", type=int, multiple=True, default=(1, 8), show_default=True)
def main(
    *,
    sizes: tuple[int, ...],
    agents: int | None,
    folder: Path,
    database: str | None,
    page: Path | None,
    rounds: int,
    clients: tuple[int, ...],
) -> None:
    """Print p50 and p99 of each operation."""
    if database is not None and len(sizes) != 1:
        raise click.UsageError("--database takes one --entries.")
    machine = describe_machine(quick=False)
    rows: list[str] = list(HEAD)
    click.echo("\n".join(rows))
    for entries in sizes:
        settings = Settings(database_url=database, data_dir=folder / str(entries))
        table = Table(entries, rounds, clients, rows)
        asyncio.run(measure(settings, entries, agents or max(2, entries // 1_000), table))
    if page is not None:
        page.write_text("\n".join((*PAGE, f"Measured {machine}.", "", *rows, "")), "utf-8")


if __name__ == "__main__":
    main()
