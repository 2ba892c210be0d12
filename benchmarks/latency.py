"""How long a write takes, how soon its tuple is there, and how soon a server answers.

    uv run python benchmarks/latency.py [--rounds 300] [--starts 5]

Everything is measured side by side in one run, on an embedded PostgreSQL in a scratch directory.
"""

import asyncio
import statistics
import sys
import tempfile
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from time import perf_counter

import click
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client

from diary_mcp.app import Foundation, open_foundation, run_workflows
from diary_mcp.domain.entry import EntryDraft
from diary_mcp.domain.fields import AgentName, EntryId
from diary_mcp.domain.version import text_of
from diary_mcp.opening import open_postgres
from diary_mcp.settings import Settings
from diary_mcp.store.database import open_database
from quantiles import quantile

CONTENT = "The reason why the queue is polled ten times a second, in some detail. " * 8
AGENT = AgentName("bench")
BARE_SERVER = Path(__file__).with_name("bare_server.py")
POLL_S = 0.002
PARALLEL = 10


@dataclass
class Table:
    """Durations in milliseconds by what was measured."""

    rows: dict[str, list[float]] = field(default_factory=dict[str, list[float]])

    async def time(self, name: str, run: Callable[[], Awaitable[object]]) -> None:
        started = perf_counter()
        await run()
        self.rows.setdefault(name, []).append((perf_counter() - started) * 1_000)

    def __str__(self) -> str:
        lines = [f"{'':<52}{'n':>6}{'p50 ms':>10}{'p99 ms':>10}"]
        for name, durations in self.rows.items():
            p99 = quantile(durations, 99)
            p50 = statistics.median(durations)
            lines.append(f"{name:<52}{len(durations):>6}{p50:>10.1f}{p99:>10.1f}")
        return "\n".join(lines)


async def measure_transactions(
    url: str, foundation: Foundation, signing: Foundation, table: Table, rounds: int
) -> None:
    """A bare insert, and our create, unsigned and signed, in turn, on connections of warm pools.

    `url` is the database's as its owner: whoever serves makes no table.
    """
    async with open_database(url, max_size=1) as database:
        async with database.connection() as connection:
            await connection.execute("create table bench (id bigserial primary key, body text)")

        async def insert() -> None:
            async with database.transaction() as connection:
                await connection.execute("insert into bench (body) values (%s)", (CONTENT,))

        async def create() -> None:
            await foundation.diary.entries.create(AGENT, EntryDraft(content=CONTENT))

        async def create_signed() -> None:
            await signing.diary.entries.create(AGENT, EntryDraft(content=CONTENT))

        await create_signed()
        for _ in range(rounds):
            await table.time("bare INSERT and commit", insert)
            await table.time("create (rows and workflow, similar entries behind)", create)
            await table.time("create, signed", create_signed)
        for _ in range(max(1, rounds // PARALLEL)):
            await table.time(f"{PARALLEL} creates at once", partial(at_once, create))
            await table.time(f"{PARALLEL} creates at once, signed", partial(at_once, create_signed))
        entry = await foundation.diary.entries.create(AGENT, EntryDraft(content=CONTENT))
        look = partial(foundation.diary.similarity.find_similar, text_of(entry))
        for name in ("among unindexed entries", "among indexed ones"):
            for _ in range(rounds):
                await table.time(f"similar entries, {name}", look)
            await foundation.indexer.index_waiting()


async def at_once(run: Callable[[], Awaitable[None]]) -> None:
    async with asyncio.TaskGroup() as tasks:
        for _ in range(PARALLEL):
            tasks.create_task(wait_for(run))


async def wait_for(run: Callable[[], Awaitable[None]]) -> None:
    await run()


async def measure_settling(foundation: Foundation, table: Table, rounds: int) -> None:
    """From the return of a create to the owner's tuple being there, seen by polling."""
    async with run_workflows(foundation):
        for _ in range(rounds):
            entry = await foundation.diary.entries.create(AGENT, EntryDraft(content=CONTENT))

            await table.time(
                "from commit to the tuple", partial(wait_for_tuple, foundation, entry.id)
            )


async def wait_for_tuple(foundation: Foundation, entry_id: EntryId) -> None:
    while not await foundation.permissions.list_entry_tuples([entry_id]):  # noqa: ASYNC110  # nobody could tell us
        await asyncio.sleep(POLL_S)


@asynccontextmanager
async def client(command: list[str], data_dir: Path) -> AsyncGenerator[ClientSession]:
    parameters = StdioServerParameters(
        command=command[0],
        args=command[1:],
        env={"DIARY_MCP_DATA_DIR": str(data_dir), "DIARY_MCP_AGENT": AGENT},
    )
    with tempfile.TemporaryFile("w", encoding="utf-8") as log:
        async with stdio_client(parameters, errlog=log) as streams, ClientSession(*streams) as mcp:
            yield mcp


async def measure_start(
    name: str, command: list[str], tool: tuple[str, dict[str, str]], data_dir: Path, table: Table
) -> None:
    """From the start of the process to the first answers."""
    started = perf_counter()
    async with client(command, data_dir) as mcp:
        await mcp.initialize()
        answered = perf_counter()
        await mcp.call_tool(*tool)
        worked = perf_counter()
    table.rows.setdefault(f"{name}: start to initialize", []).append((answered - started) * 1_000)
    table.rows.setdefault(f"{name}: initialize to first tool result", []).append(
        (worked - answered) * 1_000
    )


async def measure_tool_calls(data_dir: Path, table: Table, rounds: int) -> None:
    """The same write through a client and stdio: ours, and the bare server's."""
    serve = [sys.executable, "-m", "diary_mcp", "serve"]
    async with (
        client(serve, data_dir) as diary,
        client([sys.executable, str(BARE_SERVER)], data_dir) as bare,
    ):
        await diary.initialize()
        await bare.initialize()
        await diary.call_tool("diary_create", {"content": CONTENT})
        for _ in range(rounds):
            await table.time(
                "diary_create over stdio",
                lambda: diary.call_tool("diary_create", {"content": CONTENT}),
            )
            await table.time(
                "bare SDK server's tool over stdio",
                lambda: bare.call_tool("create", {"content": CONTENT}),
            )


async def measure(rounds: int, starts: int) -> Table:
    table = Table()
    serve = [sys.executable, "-m", "diary_mcp", "serve"]
    create = ("diary_create", {"content": CONTENT})
    with tempfile.TemporaryDirectory() as scratch:
        warm = Path(scratch, "warm")
        for number in range(starts):
            await measure_start("cold", serve, create, Path(scratch, f"cold-{number}"), table)
            await measure_start("warm", serve, create, warm, table)
            await measure_start(
                "bare SDK server",
                [sys.executable, str(BARE_SERVER)],
                ("create", {"content": CONTENT}),
                warm,
                table,
            )
        unsigned = Settings(data_dir=warm, agent=AGENT, signing="off")
        signed = Settings(data_dir=warm, agent=AGENT)
        async with (
            open_foundation(unsigned) as foundation,
            open_foundation(signed, with_keys=True) as signing,
            open_postgres(unsigned) as url,
        ):
            await measure_transactions(url, foundation, signing, table, rounds)
            await measure_settling(foundation, table, max(10, rounds // 3))
        await measure_tool_calls(warm, table, rounds)
    return table


@click.command()
@click.option("--rounds", default=300, show_default=True)
@click.option("--starts", default=5, show_default=True)
def main(rounds: int, starts: int) -> None:
    """Print the table."""
    click.echo(str(asyncio.run(measure(rounds, starts))))


if __name__ == "__main__":
    main()
