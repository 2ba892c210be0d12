"""The steps of the comparison: what is measured of one contender, in parts that stand alone."""

import json
import statistics
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random
from time import monotonic, perf_counter

import anyio
from mcp.types import CallToolResult

from contenders import Contender
from measuring import (
    Running,
    Timings,
    running,
    timed_calls,
    write_all,
    write_each,
    write_until_cut,
)
from processes import cpu_s, kill, more_switches, proportional_mib, resident_mib, switches
from texts import entry_name, question

_WINDOWS = 5


@dataclass(frozen=True)
class Size:
    """How much of everything in a round; the time limit is for each part of a step."""

    rounds: int = 3
    cold_starts: int = 1
    warm_starts: int = 2
    idle_s: float = 30
    rest_s: float = 65
    """Before servers count as idle: what they keep for a while is gone then."""
    writes: int = 1_000
    entries: int = 10_000
    searches: int = 100
    lists: int = 30
    both: int = 200
    kills: int = 20
    limit_s: float = 45
    filling_s: float = 300
    """Who clearly takes longer is given up after ten seconds, so a slow machine has time."""
    calm_s: float = 480
    """How long the work behind the writes may take before anything is looked for."""


QUICK = Size(
    rounds=1,
    idle_s=5,
    rest_s=5,
    writes=60,
    entries=300,
    searches=10,
    lists=5,
    both=20,
    kills=3,
    limit_s=20,
    filling_s=20,
    calm_s=20,
)


@dataclass(frozen=True)
class Measured:
    """One figure, or why there is none; and what must be said beside it."""

    value: float | None
    note: str = ""


Figures = Mapping[str, Measured]


@dataclass(frozen=True)
class Step:
    """What is measured together, of a server that begins without data."""

    measure: Callable[[Contender, Path, Size], Awaitable[Figures]]
    in_rounds: bool = False
    """Whether it is repeated, the contenders in turn: a machine is slower now than later."""


async def measure_starts(contender: Contender, scratch: Path, size: Size) -> Figures:
    """From the start of the process to its first answers: without any data, and with some."""
    cold = [
        await _start(contender, scratch / f"cold-{number}") for number in range(size.cold_starts)
    ]
    home = scratch / "warm"
    await _start(contender, home)
    deadline = monotonic() + size.limit_s
    warm: list[tuple[float, float]] = []
    while len(warm) < size.warm_starts and (not warm or monotonic() < deadline):
        warm.append(await _start(contender, home))
    return {
        "cold_initialize": Measured(statistics.median(first for first, _ in cold)),
        "cold_result": Measured(statistics.median(second for _, second in cold)),
        "warm_initialize": Measured(statistics.median(first for first, _ in warm)),
        "warm_result": Measured(statistics.median(second for _, second in warm)),
    }


async def _start(contender: Contender, home: Path) -> tuple[float, float]:
    started = perf_counter()
    async with running(contender, home) as server:
        await server.write(Random().randrange(10**5))
        return server.initialize_s, perf_counter() - started


async def measure_idleness(contender: Contender, scratch: Path, size: Size) -> Figures:
    """Memory and CPU of a server that has worked a little and is left alone."""
    async with running(contender, scratch / "idle") as server:
        for number in range(5):
            await server.write(number)
        await server.call(contender.recent)
        await server.calm_down(size.limit_s / 3)
        await anyio.sleep(size.rest_s)
        processes = server.family()
        before = cpu_s(processes)
        own_before = cpu_s([server.process])
        started = monotonic()
        await anyio.sleep(size.idle_s)
        lasted_s = monotonic() - started
        tools = await server.client.list_tools()
        shown = tools.model_dump(mode="json", by_alias=True, exclude_none=True)["tools"]
        return {
            "idle_memory": Measured(resident_mib(server.process)),
            "idle_memory_all": Measured(proportional_mib(server.family())),
            "idle_cpu": Measured((cpu_s(processes) - before) / lasted_s * 100),
            "idle_cpu_own": Measured((cpu_s([server.process]) - own_before) / lasted_s * 100),
            "tools": Measured(len(tools.tools)),
            "tools_characters": Measured(len(json.dumps(shown, separators=(",", ":")))),
        }


async def measure_five_idle(contender: Contender, scratch: Path, size: Size) -> Figures:
    """Five servers on the same data, as five windows of a client start them, left alone."""
    async with AsyncExitStack() as stack:
        servers = [
            await stack.enter_async_context(running(contender, scratch / "five"))
            for _ in range(_WINDOWS)
        ]
        for number, server in enumerate(servers):
            await server.write(number)
        await servers[0].calm_down(size.limit_s / 3)
        await anyio.sleep(size.rest_s)
        together = {each.pid: each for server in servers for each in server.family()}
        processes = list(together.values())
        spent, asleep, started = cpu_s(processes), switches(processes), monotonic()
        await anyio.sleep(size.idle_s)
        lasted_s = monotonic() - started
        return {
            "five_cpu": Measured((cpu_s(processes) - spent) / lasted_s * 100),
            "five_memory": Measured(proportional_mib(processes)),
            "five_switches": Measured(more_switches(switches(processes), asleep) / lasted_s),
        }


async def measure_small_store(contender: Contender, scratch: Path, size: Size) -> Figures:
    """Writes, searches and lists of the first entries."""
    async with running(contender, scratch / "small") as server:
        await server.write(0)
        await server.calm_down(size.calm_s)
        return await _work(server, "small", range(1, size.writes + 1), size)


async def measure_large_store(contender: Contender, scratch: Path, size: Size) -> Figures:
    """The same of the last entries of a store ten times as large, and its first writes."""
    async with running(contender, scratch / "large") as server:
        await server.write(0)
        await server.calm_down(size.calm_s)
        first = await _timed_writes(server, range(1, size.writes + 1), size)
        figures = {"first_write_p50": Measured(first.p50, first.shortfall)}
        large_from = size.entries - size.writes
        batches = list(contender.write_many(range(size.writes + 1, large_from + 1)))
        filled = 0 if first.shortfall else await write_all(server, batches, size.filling_s)
        if filled < 1:
            written = len(first.durations) + round(filled * (large_from - size.writes))
            reached = (
                f"given up at {written:,} of {size.entries:,} entries, "
                f"which take more than {_minutes(size.filling_s)}"
            )
            return figures | {f"large_{name}": Measured(None, reached) for name in _WORK}
        await server.calm_down(size.calm_s)
        large = range(large_from + 1, size.entries + 1)
        return figures | await _work(server, "large", large, size)


_WORK = ("write_p50", "write_p95", "write_p99", "writes_per_s", "search_p50", "list_p50")


async def _work(server: Running, prefix: str, numbers: range, size: Size) -> dict[str, Measured]:
    contender = server.contender
    spent = cpu_s(server.family())
    writes = await _timed_writes(server, numbers, size)
    await server.calm_down(size.calm_s)
    spent = cpu_s(server.family()) - spent
    queries = [question(number, numbers.stop - 1) for number in range(size.searches)]
    searches = await timed_calls(
        server, [contender.search(query) for query in queries], size.limit_s / 2, _answered
    )
    lists = await timed_calls(server, [contender.recent] * size.lists, size.limit_s / 2, _answered)
    return {f"{prefix}_{name}": found for name, found in _figures(writes, searches, lists)} | {
        f"{prefix}_cpu": Measured(spent * 1_000 / max(1, len(writes.durations)))
    }


async def _timed_writes(server: Running, numbers: range, size: Size) -> Timings:
    calls = [server.contender.write(number) for number in numbers]
    return await timed_calls(server, calls, size.limit_s, server.contender.is_acknowledged)


def _figures(writes: Timings, searches: Timings, lists: Timings) -> list[tuple[str, Measured]]:
    total_s = sum(writes.durations) / 1_000
    return [
        ("write_p50", Measured(writes.p50, writes.shortfall)),
        ("write_p95", Measured(writes.quantile(95))),
        ("write_p99", Measured(writes.quantile(99))),
        ("writes_per_s", Measured(len(writes.durations) / total_s if total_s else None)),
        ("search_p50", Measured(searches.p50, searches.shortfall)),
        ("list_p50", Measured(lists.p50, lists.shortfall)),
    ]


def _answered(result: CallToolResult) -> bool:
    return not result.is_error


async def measure_two_clients(contender: Contender, scratch: Path, size: Size) -> Figures:
    """Two clients, each with a server of its own on the same data, write at the same time."""
    if contender.read_names is None:
        return {"both_missing": Measured(None, "keeps nothing")}
    home = scratch / "both"
    acknowledged: set[int] = set()
    async with running(contender, home) as one, running(contender, home) as other:
        with anyio.move_on_after(size.limit_s):
            async with anyio.create_task_group() as writing:
                writing.start_soon(write_each, one, range(size.both), acknowledged)
                other_numbers = range(size.both, 2 * size.both)
                writing.start_soon(write_each, other, other_numbers, acknowledged)
    missing = await _missing(contender, home, acknowledged, size)
    return {
        "both_acknowledged": Measured(len(acknowledged)),
        "both_missing": Measured(missing, f"of {len(acknowledged):,} acknowledged"),
    }


async def measure_kills(contender: Contender, scratch: Path, size: Size) -> Figures:
    """SIGKILL in the middle of writing, every second time also to whatever the server started."""
    if contender.read_names is None:
        return {"kills_missing": Measured(None, "keeps nothing")}
    home = scratch / "kills"
    acknowledged: set[int] = set()
    deadline = monotonic() + 2 * size.limit_s
    rounds = 0
    while rounds < size.kills and monotonic() < deadline:
        await _kill_once(contender, home, rounds, acknowledged)
        rounds += 1
    missing = await _missing(contender, home, acknowledged, size)
    damage = contender.damage(home)
    rounds_note = f"of {len(acknowledged):,} acknowledged, {rounds} kills"
    return {
        "kills": Measured(rounds),
        "kills_missing": Measured(missing, rounds_note),
        "damage": Measured(1 if damage else 0, damage.strip()[:60]),
    }


async def _kill_once(contender: Contender, home: Path, number: int, acknowledged: set[int]) -> None:
    randomly = Random(number)
    with suppress(BaseExceptionGroup):
        async with running(contender, home) as server:
            first = 1_000 * number
            if await server.write(first):
                acknowledged.add(first)
            async with anyio.create_task_group() as writing:
                numbers = range(first + 1, first + 1_000)
                writing.start_soon(write_until_cut, server, numbers, acknowledged)
                await anyio.sleep(randomly.uniform(0.05, 0.3))
                kill(server.family() if number % 2 else [server.process])


async def _missing(contender: Contender, home: Path, acknowledged: set[int], size: Size) -> int:
    """Of what was acknowledged, how much a new server does not have, once it has repaired all."""
    assert contender.read_names is not None, "asked only where something is kept"
    async with running(contender, home) as server:
        await server.calm_down(size.calm_s)
        found = await contender.read_names(server.client)
    return sum(entry_name(number) not in found for number in acknowledged)


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.1f} min"


STEPS: Mapping[str, Step] = {
    "starts": Step(measure_starts, in_rounds=True),
    "idleness": Step(measure_idleness),
    "five-idle": Step(measure_five_idle),
    "small": Step(measure_small_store, in_rounds=True),
    "large": Step(measure_large_store),
    "two-clients": Step(measure_two_clients),
    "kills": Step(measure_kills),
}
