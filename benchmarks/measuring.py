"""Measuring a server through one MCP client over stdio."""

import tempfile
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, perf_counter

import anyio
import psutil
from mcp import ClientSession, MCPError, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.types import CallToolResult

from contenders import Call, Contender
from processes import child_pids, child_since, cpu_s, family
from quantiles import quantile

_QUIET_CORES = 0.25
_LOOK_S = 1.0
_ANSWER_S = 60
_PREDICTABLE_S = 10
_CLEARLY = 1.3


@dataclass(frozen=True)
class Running:
    """A server that has answered `initialize`, and the client that it serves."""

    contender: Contender
    home: Path
    client: ClientSession
    process: psutil.Process
    initialize_s: float
    """From the start of the process to the answer to `initialize`."""

    async def call(self, call: Call) -> CallToolResult:
        """The answer; `TimeoutError` after a minute."""
        with anyio.fail_after(_ANSWER_S):
            return await self.client.call_tool(*call)

    async def write(self, number: int) -> bool:
        """Whether the write was acknowledged."""
        return self.contender.is_acknowledged(await self.call(self.contender.write(number)))

    def family(self) -> list[psutil.Process]:
        return family(self.process, self.home)

    async def calm_down(self, within_s: float) -> None:
        """Waits until work that goes on behind the answers is done."""
        deadline = monotonic() + within_s
        while monotonic() < deadline:
            before = cpu_s(self.family())
            await anyio.sleep(_LOOK_S)
            if cpu_s(self.family()) - before < _QUIET_CORES * _LOOK_S:
                return


@dataclass(frozen=True)
class Timings:
    """Durations in milliseconds, in the order in which they were taken."""

    durations: Sequence[float]
    wanted: int

    @property
    def p50(self) -> float:
        return self.quantile(50)

    def quantile(self, percent: int) -> float:
        return quantile(self.durations, percent)

    @property
    def shortfall(self) -> str:
        """Empty where all that was wanted was measured."""
        done = len(self.durations)
        return "" if done >= self.wanted else f"{done:,} of {self.wanted:,} in the time"


@asynccontextmanager
async def running(contender: Contender, home: Path) -> AsyncGenerator[Running]:
    """A server on the data in `home`; it is ended as a client ends it."""
    parameters = _parameters(contender, home)
    known = child_pids()
    with tempfile.TemporaryFile("w", encoding="utf-8") as log:
        started = perf_counter()
        async with stdio_client(parameters, errlog=log) as streams, ClientSession(*streams) as mcp:
            with anyio.fail_after(2 * _ANSWER_S):
                await mcp.initialize()
            answered_s = perf_counter() - started
            process = child_since(known, bool)
            yield Running(contender, home, mcp, process, answered_s)


def _parameters(contender: Contender, home: Path) -> StdioServerParameters:
    home.mkdir(parents=True, exist_ok=True)
    return StdioServerParameters(
        command=contender.command[0],
        args=list(contender.command[1:]),
        env=dict(contender.environment(home)),
        cwd=home,
    )


async def timed_calls(
    server: Running, calls: Sequence[Call], within_s: float, done: Callable[[CallToolResult], bool]
) -> Timings:
    """The duration of each call, one after the other, as many as fit in the time."""
    durations: list[float] = []
    deadline = monotonic() + within_s
    for call in calls:
        if monotonic() > deadline:
            break
        started = perf_counter()
        with suppress(TimeoutError):
            result = await server.call(call)
            if done(result):
                durations.append((perf_counter() - started) * 1_000)
    return Timings(durations, len(calls))


async def write_all(server: Running, calls: Sequence[Call], within_s: float) -> float:
    """How much of it was written, of 1; gives up as soon as it will clearly take too long."""
    started = monotonic()
    for number, call in enumerate(calls, 1):
        await server.call(call)
        lasted_s = monotonic() - started
        is_too_slow = lasted_s / number * len(calls) > _CLEARLY * within_s
        if lasted_s > within_s or (lasted_s > _PREDICTABLE_S and is_too_slow):
            return number / len(calls)
    return 1


async def write_until_cut(server: Running, numbers: Iterable[int], acknowledged: set[int]) -> None:
    """Writes until the server is gone."""
    with suppress(MCPError, anyio.ClosedResourceError, anyio.BrokenResourceError, TimeoutError):
        for number in numbers:
            if await server.write(number):
                acknowledged.add(number)


async def write_each(server: Running, numbers: Iterable[int], acknowledged: set[int]) -> None:
    """Writes all of them; which ones were acknowledged."""
    for number in numbers:
        with suppress(TimeoutError):
            if await server.write(number):
                acknowledged.add(number)
