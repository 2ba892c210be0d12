"""How long a search of a large diary takes, what it keeps, and how near the exact ranking it is.

    uv run python benchmarks/large_diary.py [--entries 200000] [--compared 40]

The diary is one agent's; it is made once, as those of `scale.py` are, and the next run finds it.
For the exact ranking the same diary is kept whole, which takes a gigabyte for each million.
"""

import asyncio
import resource
import statistics
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter, process_time

import click
from platformdirs import user_cache_path

from diary_mcp.app import Foundation, open_foundation, open_postgres
from diary_mcp.domain.entry import EntryFilters, SearchHit
from diary_mcp.domain.fields import AgentName
from diary_mcp.embeddings.model_process import OfflineEmbedder
from diary_mcp.service.entries.access import Access
from diary_mcp.service.ports.index import Embedder, model_version
from diary_mcp.service.search import cache
from diary_mcp.service.search.search import SearchService
from diary_mcp.settings import Settings
from scale_data import Vocabulary, Writer, describe, questions
from scale_load import load_of

ALONE = AgentName("alone")
ALL = EntryFilters(scope="all", include_superseded=False)
EVERYTHING_FITS = 2**40


class Searches:
    """The same questions, asked of one service."""

    def __init__(self, foundation: Foundation, embedder: Embedder, large_from: int | None) -> None:
        access = Access(foundation.store, foundation.permissions)
        self._service = SearchService(
            foundation.store, foundation.permissions, access, embedder, large_from=large_from
        )

    async def ask(self, query: str) -> Sequence[SearchHit]:
        page = await self._service.search(ALONE, query, ALL, mode="hybrid", cursor=None, limit=10)
        return page.rows

    async def measure(self, queries: Sequence[str]) -> list[Sequence[SearchHit]]:
        """Prints how long each takes, and gives the hits."""
        durations: list[float] = []
        hits: list[Sequence[SearchHit]] = []
        before = process_time()
        for query in queries:
            started = perf_counter()
            hits.append(await self.ask(query))
            durations.append((perf_counter() - started) * 1_000)
        processor = (process_time() - before) / len(queries) * 1_000
        p99 = statistics.quantiles(durations, n=100, method="inclusive")[98]
        click.echo(
            f"n {len(queries)}, p50 {statistics.median(durations):.1f} ms, p99 {p99:.1f} ms, "
            f"least {min(durations):.1f} ms, {processor:.1f} ms of this process's processor time"
        )
        return hits


async def measure(settings: Settings, entries: int, compared: int, rounds: int) -> None:
    embedder = OfflineEmbedder()
    async with open_foundation(settings), open_postgres(settings) as url:
        wanted = describe(entries, 1, f"one diary; {model_version(embedder.name)}")
        await asyncio.to_thread(load_of, url, [Writer(ALONE, entries)], wanted, embedder)
    async with open_foundation(settings) as foundation:
        queries = list(questions(Vocabulary(), rounds, seed=1))
        outlined = Searches(foundation, embedder, 0)
        started = perf_counter()
        await outlined.ask(queries[0])
        click.echo(f"first search {perf_counter() - started:.1f} s, {_memory()}")
        await outlined.measure(queries)
        near = await outlined.measure(queries)
        click.echo(_memory())
        if not compared:
            return
        cache.DocumentCache.__init__.__defaults__ = (EVERYTHING_FITS,)
        exact = Searches(foundation, embedder, entries + 1)
        pairs = list(zip(near, await exact.measure(queries[:compared]), strict=False))
        shared = sum(
            len({hit.id for hit in one} & {hit.id for hit in other}) for one, other in pairs
        )
        click.echo(f"recall@10 {shared / sum(len(other) for _, other in pairs):.3f}")


def _memory() -> str:
    return f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MiB at most"


@click.command()
@click.option("--entries", default=200_000, show_default=True)
@click.option("--compared", default=40, show_default=True, help="With the exact ranking.")
@click.option("--rounds", default=200, show_default=True)
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=user_cache_path("diary-mcp-benchmark"),
)
def main(*, entries: int, compared: int, rounds: int, folder: Path) -> None:
    """Print what a search takes, and recall@10."""
    settings = Settings(data_dir=folder / f"large-{entries}")
    asyncio.run(measure(settings, entries, compared, rounds))


if __name__ == "__main__":
    main()
