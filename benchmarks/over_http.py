"""Requests per second over HTTP: diary-mcp beside a bare Starlette endpoint and a bare SDK tool.

    uv run --group bench python benchmarks/over_http.py [--seconds 2] [--quick]

Each client has a connection of its own and sends its next request when it has the answer to its
last one. Several processes of diary-mcp share one data directory, as replicas share a database;
the clients are spread over them. Nobody signs in. Calls are measured once the work behind the
writes before them is done. Writes `docs/performance/http.md` and its
picture; `--quick` only prints. (A file named `http.py` would hide Python's own module.)
"""

import asyncio
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import cycle, islice, product
from pathlib import Path

import click

from pictures import Panel, draw_panels
from processes import describe_machine
from quantiles import quantile
from texts import entry_text, question
from work_behind import wait_for_work

FLOOR = Path(__file__).with_name("http_floor.py")
OUTPUT = Path(__file__).parents[1] / "docs/performance"
CLIENTS = (1, 16, 64)
CALLS = ("get", "search", "create")
_STORED = 1_000
_DEADLINE_S = 60
# What was asked before is answered more cheaply, and agents seldom ask the same.
_REQUESTS = 1_000
# Behind a thousand entries, all of which get their vectors, and what bursts of creates add.
_LONGEST_WORK_S = 1_800

Address = tuple[str, int]


@dataclass(frozen=True)
class Cell:
    """One measurement: so many clients send these requests, spread over the addresses."""

    server: str
    call: str
    addresses: Sequence[Address]
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


@click.command()
@click.option("--seconds", default=2.0, show_default=True, help="For each cell of the table.")
@click.option("--quick", is_flag=True, help="Little of everything: whether it works.")
@click.option("--output", type=click.Path(path_type=Path), help="Instead of docs/performance.")
def main(seconds: float, output: Path | None, *, quick: bool) -> None:
    """Measure, print the table, and write it with its picture."""
    machine = describe_machine(quick=quick)
    stored = 50 if quick else _STORED
    lasts_s = 0.5 if quick else seconds
    outcomes = [*measure_floor(lasts_s), *measure_diary(lasts_s, stored)]
    text = table(outcomes, machine, stored)
    click.echo(text)
    folder = output or (None if quick else OUTPUT)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "http.md").write_text(text, "utf-8")
        draw(outcomes, machine, folder / "http.svg")


def measure_floor(lasts_s: float) -> Iterator[Outcome]:
    body = request_body("create", {"content": entry_text(1)})
    for name in ("starlette", "sdk"):
        with floor_server(name) as address:
            for clients in CLIENTS:
                yield load(Cell(f"bare {name}", "create", [address], clients, [body], lasts_s))


def measure_diary(lasts_s: float, stored: int) -> Iterator[Outcome]:
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        for processes in (1, 2):
            with ExitStack() as stack:
                servers = [
                    stack.enter_context(diary_server(Path(scratch))) for _ in range(processes)
                ]
                ids = asyncio.run(store(servers[0], stored))
                name = f"diary-mcp, {processes} process{'es' if processes > 1 else ''}"
                for place, (call, clients) in enumerate(product(CALLS, CLIENTS)):
                    wait_for_work(Path(scratch), longest_s=_LONGEST_WORK_S)
                    requests = bodies(call, ids, place)
                    yield load(Cell(name, call, servers, clients, requests, lasts_s))


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
    click.echo(f"{cell.server}: {cell.call}, {cell.clients} clients …", err=True)
    return asyncio.run(_load(cell))


async def _load(cell: Cell) -> Outcome:
    durations: list[float] = []
    failures: list[str] = []
    requests = cycle(cell.requests)
    started = time.perf_counter()
    ends_at = started + cell.lasts_s
    await asyncio.gather(
        *(
            _client(address, requests, ends_at, durations, failures)
            for address in islice(cycle(cell.addresses), cell.clients)
        )
    )
    lasted_s = time.perf_counter() - started
    return Outcome(
        cell.server,
        cell.call,
        cell.clients,
        len(durations) / lasted_s,
        quantile(durations, 50),
        quantile(durations, 99),
        len(failures),
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


async def store(address: Address, count: int) -> list[str]:
    """The ids of so many new entries."""
    ids: list[str] = []
    reader, writer = await asyncio.open_connection(*address, limit=1 << 24)
    for number in range(count):
        request = request_body("diary_create", {"content": entry_text(number)})
        _, body = await _exchange(reader, writer, request)
        ids.append(json.loads(body)["result"]["structuredContent"]["id"])
    writer.close()
    return ids


@contextmanager
def floor_server(name: str) -> Generator[Address]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        address: Address = listener.getsockname()
    process = subprocess.Popen([sys.executable, str(FLOOR), name, str(address[1])])
    try:
        wait_until_listening(address)
        yield address
    finally:
        end(process)


@contextmanager
def diary_server(data_dir: Path) -> Generator[Address]:
    program = Path(sys.executable).with_name("diary-mcp")
    with tempfile.NamedTemporaryFile("w+", encoding="utf-8") as log:
        process = subprocess.Popen(
            [program, "serve", "--transport", "http", "--port", "0", "--no-auth"],
            env={**os.environ, "DIARY_MCP_DATA_DIR": str(data_dir), "DIARY_MCP_AGENT": "bench"},
            stdin=subprocess.DEVNULL,
            stderr=log,
        )
        try:
            address = "127.0.0.1", find_port(Path(log.name))
            wait_until_listening(address)
            yield address
        finally:
            end(process)


def find_port(log: Path) -> int:
    ends_at = time.monotonic() + _DEADLINE_S
    while time.monotonic() < ends_at:
        told = re.search(r"http://127\.0\.0\.1:(\d+)", log.read_text("utf-8"))
        if told:
            return int(told[1])
        time.sleep(0.05)
    raise RuntimeError("The server does not say where it listens.")


def wait_until_listening(address: Address) -> None:
    ends_at = time.monotonic() + _DEADLINE_S
    while True:
        try:
            socket.create_connection(address).close()
        except OSError:
            if time.monotonic() > ends_at:
                raise
            time.sleep(0.05)
        else:
            return


def end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def table(outcomes: Sequence[Outcome], machine: str, stored: int) -> str:
    lines = [
        "# Over HTTP",
        "",
        "`uv run --group bench python benchmarks/over_http.py` wrote this page.",
        f"The diary holds {stored:,} entries of 600 characters.",
        "The clients run on the same machine, and take their share of it.",
        "Calls are measured once the work behind the writes before them is done.",
        "",
        f"Measured {machine}.",
        "",
        "![The same as a picture](http.svg)",
        "",
        "| server | call | clients | requests a second | p50, ms | p99, ms | failed |",
        "|---|---|---|---|---|---|---|",
        *(
            f"| {each.server} | {each.call} | {each.clients} | {each.per_second:,.0f} "
            f"| {each.p50_ms:.1f} | {each.p99_ms:.1f} | {each.failed} |"
            for each in outcomes
        ),
        "",
    ]
    return "\n".join(lines)


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
