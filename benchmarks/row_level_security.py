"""What row-level security would cost a read at the least: a transaction that says for whom it is.

    uv run python benchmarks/row_level_security.py

Prints the median time of reading an entry, as it is done and with `begin`, `set_config` and
`commit` around it in the same round trip. No policy is looked at (ADR 21).
"""

import statistics
import tempfile
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio

from diary_mcp.app import Foundation, open_foundation
from diary_mcp.domain.entry import EntryDraft
from diary_mcp.domain.fields import AgentName
from diary_mcp.service.entries.access import Access
from diary_mcp.settings import Settings
from diary_mcp.store.database import Connection, Database
from diary_mcp.store.postgres import PostgresStore

_ALICE = AgentName("alice")
_ENTRIES = 50
_READS = 200
_ROUNDS = 12


class _WalledDatabase(Database):
    """Each read in a transaction that says for whom it is."""

    def __init__(self, inner: Database) -> None:
        self._inner = inner

    @asynccontextmanager
    async def connection(self) -> AsyncGenerator[Connection]:
        async with self._inner.connection() as connection, connection.pipeline():
            await connection.execute("begin", prepare=False)
            await connection.execute("select set_config('diary.agent', %s, true)", [_ALICE])
            yield connection
            await connection.execute("commit", prepare=False)


async def _main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data_dir=Path(folder) / "diary", embeddings="none")
        async with open_foundation(settings) as foundation:
            await _measure(foundation)


async def _measure(foundation: Foundation) -> None:
    entries = foundation.diary.entries
    made = [
        await entries.create(_ALICE, EntryDraft(content=f"Entry {number}."))
        for number in range(_ENTRIES)
    ]
    references = [str(entry.id) for entry in made]
    ways = {
        "as it is": Access(foundation.store, foundation.permissions),
        "with a transaction": Access(
            PostgresStore(_WalledDatabase(foundation.database)), foundation.permissions
        ),
    }
    times_ms: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(_ROUNDS):
        for name, access in ways.items():
            begun = time.perf_counter()
            for number in range(_READS):
                await access.get(_ALICE, references[number % _ENTRIES])
            times_ms[name].append((time.perf_counter() - begun) / _READS * 1_000)
    for name, measured in times_ms.items():
        print(f"{name:<20} {statistics.median(measured):.2f} ms")


if __name__ == "__main__":
    anyio.run(_main)
