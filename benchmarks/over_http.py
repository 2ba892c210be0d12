"""Requests per second over HTTP: diary-mcp beside a bare Starlette endpoint and a bare SDK tool.

    git worktree add ../before COMMIT && (cd ../before && uv sync)
    uv run --group bench python benchmarks/over_http.py [--beside ../before] [--seconds 2]

Each client has a connection of its own and sends its next request when it has the answer to its
last one. Several processes of diary-mcp share one data directory, as replicas share a database;
the clients are spread over them. Another checkout, where one is named, takes turns with this one
at each kind of call, on data of its own. Nobody signs in. Calls are measured once the work
behind the writes before them is done, and each process has answered some. Writes
`docs/performance/http.md` and its picture; `--quick` only prints. (A file named `http.py` would
hide Python's own module.)
"""

import asyncio
import json
import math
import re
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import cycle, islice, product
from pathlib import Path

import click

from http_servers import OURS, Address, Served, checkouts, diary_server, floor_server, spent
from pictures import Panel, draw_panels
from processes import describe_machine
from quantiles import quantile
from texts import entry_text, question
from work_behind import wait_for_work

OUTPUT = Path(__file__).parents[1] / "docs/performance"
CLIENTS = (1, 16, 64)
CALLS = ("get", "search", "create")
_STORED = 1_000
# What was asked before is answered more cheaply, and agents seldom ask the same.
_REQUESTS = 1_000
_PLACES = len(CALLS) * len(CLIENTS)
_WARM = 12
# Behind a thousand entries, all of which get their vectors, and what bursts of creates add.
_LONGEST_WORK_S = 1_800
_SDK = "bare sdk"
_HEADER = (
    "| server | call | clients | requests a second | p50, ms | p99, ms | failed "
    "| CPU, server | CPU, behind it |\n|---|---|---|---|---|---|---|---|---|"
)


@dataclass(frozen=True)
class How:
    """How long each cell lasts, and how often it is measured, to show the best turn."""

    lasts_s: float
    turns: int


@dataclass(frozen=True)
class Cell:
    """One measurement: so many clients send these requests, spread over the servers."""

    name: str
    call: str
    servers: Sequence[Served]
    clients: int
    requests: Sequence[bytes]
    lasts_s: float


@dataclass(frozen=True)
class Outcome:
    """What one server did with one kind of call from so many clients."""

    server: str
    call: str
    clients: int
    per_second: float
    p50_ms: float
    p99_ms: float
    failed: int
    server_ms: float
    """CPU milliseconds of the servers' processes for each request."""
    behind_ms: float
    """And of PostgreSQL and the model."""


@click.command()
@click.option("--seconds", default=2.0, show_default=True, help="For each cell of the table.")
@click.option("--turns", default=3, show_default=True, help="Of each cell, to show the best.")
@click.option("--beside", type=click.Path(path_type=Path, exists=True), help="Another checkout.")
@click.option("--quick", is_flag=True, help="Little of everything: whether it works.")
@click.option("--output", type=click.Path(path_type=Path), help="Instead of docs/performance.")
def main(
    seconds: float, turns: int, output: Path | None, beside: Path | None, *, quick: bool
) -> None:
    """Measure, print the table, and write it with its picture."""
    machine = describe_machine(quick=quick)
    stored = 50 if quick else _STORED
    how = How(0.5, 1) if quick else How(seconds, turns)
    outcomes = list(measure_all(how, stored, checkouts(beside)))
    text = table(outcomes, machine, stored, how)
    click.echo(text)
    folder = output or (None if quick else OUTPUT)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "http.md").write_text(text, "utf-8")
        draw(outcomes, machine, folder / "http.svg")


def measure_floor(how: How) -> Iterator[Outcome]:
    body = request_body("create", {"content": entry_text(1)})
    for name in ("starlette", "sdk"):
        with floor_server(name) as server:
            for clients in CLIENTS:
                cell = Cell(f"bare {name}", "create", [server], clients, [body], how.lasts_s)
                yield best(load(cell) for _ in range(how.turns))


def best(turns: Iterable[Outcome]) -> Outcome:
    """A machine is slower at some times than at others, and never quicker than it is."""
    return max(turns, key=lambda each: each.per_second)


def measure_all(how: How, stored: int, programs: Mapping[str, Path]) -> Iterator[Outcome]:
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        Path(scratch).chmod(0o755)  # PostgreSQL runs as nobody where we are root
        homes = {name: Path(scratch) / str(place) for place, name in enumerate(programs)}
        with ExitStack() as stack:
            servers = {
                name: [stack.enter_context(diary_server(programs[name], home))]
                for name, home in homes.items()
            }
            ids = {name: asyncio.run(store(servers[name][0], stored)) for name in programs}
            wait_for_all(homes)
            yield from measure_floor(how)
            yield from measure_diaries(how, servers, ids)
        with ExitStack() as stack:
            home = homes[OURS]
            two = [stack.enter_context(diary_server(programs[OURS], home)) for _ in range(2)]
            yield from measure_diaries(how, {OURS: two}, ids)


def measure_diaries(
    how: How, servers: Mapping[str, Sequence[Served]], ids: Mapping[str, Sequence[str]]
) -> Iterator[Outcome]:
    homes = {name: served[0].home or Path() for name, served in servers.items()}
    for name, served in servers.items():
        asyncio.run(warm_up(served, ids[name]))
    for place, (call, clients) in enumerate(product(CALLS, CLIENTS)):
        found = {name: list[Outcome]() for name in servers}
        for turn, (name, served) in product(range(how.turns), servers.items()):
            wait_for_all(homes)
            at = (_PLACES * len(served) + place) * how.turns + turn
            title = f"{name}, {len(served)} process{'es' if len(served) > 1 else ''}"
            requests = bodies(call, ids[name], at)
            found[name].append(load(Cell(title, call, served, clients, requests, how.lasts_s)))
        yield from map(best, found.values())


async def warm_up(servers: Sequence[Served], ids: Sequence[str]) -> None:
    """Asks each what the first answers need: modules, connections, plans and the model."""
    for server, call in product(servers, ("get", "search")):
        reader, writer = await asyncio.open_connection(*server.address, limit=1 << 24)
        for request in bodies(call, ids, CALLS.index(call))[:_WARM]:
            await _exchange(reader, writer, request)
        writer.close()


def wait_for_all(homes: Mapping[str, Path]) -> None:
    for home in homes.values():
        wait_for_work(home, longest_s=_LONGEST_WORK_S)


def bodies(call: str, ids: Sequence[str], place: int) -> Sequence[bytes]:
    """Requests of this kind, none of which is as another; nor are those of another place."""
    numbers = range(_REQUESTS * place, _REQUESTS * (place + 1))
    match call:
        case "get":
            arguments = [{"entry_id": ids[number % len(ids)]} for number in numbers]
        case "search":
            arguments = [{"query": question(number, len(ids))} for number in numbers]
        case _:
            arguments = [{"content": entry_text(10_000 + number)} for number in numbers]
    return [request_body(f"diary_{call}", each) for each in arguments]


def request_body(tool: str, arguments: Mapping[str, object]) -> bytes:
    """A whole HTTP request that calls a tool."""
    body = json.dumps(
        {
            "jsonrpc": "2.0",
            "id": 1,
            "method": "tools/call",
            "params": {"name": tool, "arguments": arguments},
        }
    ).encode()
    head = (
        "POST /mcp HTTP/1.1\r\nHost: 127.0.0.1:1\r\nContent-Type: application/json\r\n"
        "Accept: application/json, text/event-stream\r\nMCP-Protocol-Version: 2025-11-25\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def load(cell: Cell) -> Outcome:
    click.echo(f"{cell.name}: {cell.call}, {cell.clients} clients …", err=True)
    return asyncio.run(_load(cell))


async def _load(cell: Cell) -> Outcome:
    durations: list[float] = []
    failures: list[str] = []
    requests = cycle(cell.requests)
    before, started = spent(cell.servers), time.perf_counter()
    ends_at = started + cell.lasts_s
    await asyncio.gather(
        *(
            _client(server.address, requests, ends_at, durations, failures)
            for server in islice(cycle(cell.servers), cell.clients)
        )
    )
    lasted_s, after = time.perf_counter() - started, spent(cell.servers)
    answered = len(durations) or math.nan
    return Outcome(
        cell.name,
        cell.call,
        cell.clients,
        len(durations) / lasted_s,
        quantile(durations, 50),
        quantile(durations, 99),
        len(failures),
        1e3 * (after.servers_s - before.servers_s) / answered,
        1e3 * (after.behind_s - before.behind_s) / answered,
    )


async def _client(
    address: Address,
    requests: Iterator[bytes],
    ends_at: float,
    durations: list[float],
    failures: list[str],
) -> None:
    reader, writer = await asyncio.open_connection(*address, limit=1 << 24)
    try:
        while time.perf_counter() < ends_at:
            started = time.perf_counter()
            status, body = await _exchange(reader, writer, next(requests))
            if status == 200 and b'"isError":true' not in body:  # noqa: PLR2004
                durations.append((time.perf_counter() - started) * 1_000)
            else:
                failures.append(body[:200].decode("utf-8", "replace"))
    finally:
        writer.close()


async def _exchange(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes
) -> tuple[int, bytes]:
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
    body = await reader.readexactly(int(length[1])) if length else b""
    return int(head.split(b" ", 2)[1]), body


async def store(server: Served, count: int) -> list[str]:
    """The ids of so many new entries."""
    ids: list[str] = []
    reader, writer = await asyncio.open_connection(*server.address, limit=1 << 24)
    for number in range(count):
        request = request_body("diary_create", {"content": entry_text(number)})
        _, body = await _exchange(reader, writer, request)
        ids.append(json.loads(body)["result"]["structuredContent"]["id"])
    writer.close()
    return ids


def table(outcomes: Sequence[Outcome], machine: str, stored: int, how: How) -> str:
    lines = [
        "# Over HTTP",
        "",
        "`uv run --group bench python benchmarks/over_http.py --beside FOLDER` wrote this page.",
        f"The diary holds {stored:,} entries of 600 characters.",
        "The clients run on the same machine, and take their share of it.",
        "Calls are measured once the work behind the writes before them is done.",
        f"Each process has answered some before; of {how.turns} turns, the best is shown.",
        "CPU is in milliseconds for each request: the server's, and PostgreSQL's and the model's.",
        "",
        f"Measured {machine}.",
        "",
        "| with 16 clients | here | aim |",
        "|---|---|---|",
        *verdicts(outcomes),
        "",
        "![The same as a picture](http.svg)",
        "",
        _HEADER,
        *(
            f"| {each.server} | {each.call} | {each.clients} | {each.per_second:,.0f} "
            f"| {each.p50_ms:.1f} | {each.p99_ms:.1f} | {each.failed} "
            f"| {each.server_ms:.2f} | {each.behind_ms:.2f} |"
            for each in outcomes
        ),
        "",
    ]
    return "\n".join(lines)


def verdicts(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """What is aimed at, and whether it is met."""
    at = {(each.server, each.call): each for each in outcomes if each.clients == CLIENTS[1]}
    one, two = f"{OURS}, 1 process", f"{OURS}, 2 processes"
    get, sdk = at[one, "get"], at[_SDK, "create"]
    yield _verdict("get beside the bare SDK tool", get.per_second / sdk.per_second, 0.6)
    yield _verdict("p99 of get beside its p50", get.p99_ms / get.p50_ms, 3, at_most=True)
    for each in at.values():
        if each.server.startswith(f"{OURS} at") and each.call == "search":
            searches = at[one, each.call].per_second / each.per_second
            yield _verdict(f"search beside {each.server.partition(',')[0]}", searches, 3)
    for call in CALLS[:2]:
        twice = at[two, call].per_second / at[one, call].per_second
        yield _verdict(f"{call} of two processes beside one", twice, 1.7)


def _verdict(what: str, times: float, aim: float, *, at_most: bool = False) -> str:
    is_met = times <= aim if at_most else times >= aim
    bound = "at most" if at_most else "at least"
    return f"| {what} | {times:.2f} times | {bound} {aim:g}: {'met' if is_met else 'missed'} |"


def draw(outcomes: Sequence[Outcome], machine: str, path: Path) -> None:
    panels: list[Panel] = []
    for call in CALLS:
        for clients in CLIENTS:
            shown = [each for each in outcomes if each.clients == clients]
            # The floor has one call, which any of ours can be held against.
            shown = [each for each in shown if each.call == call or "bare" in each.server]
            panels.append(
                Panel(
                    f"{call}, {clients} client{'s' if clients > 1 else ''}: requests a second",
                    [each.server for each in shown],
                    [each.per_second for each in shown],
                    ",.0f",
                )
            )
    caption = f"Longer is better. {machine}."
    draw_panels(panels, "diary-mcp", caption, path)


if __name__ == "__main__":
    main()
