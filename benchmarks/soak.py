"""An hour's worth of mixed work, compressed, with kills now and then: does anything grow?

    uv run --group bench python benchmarks/soak.py [--minutes 3] [--clients 3] [--quick]

Several clients, each with a server of its own over stdio, create, update, share, delete, search,
list and read in one diary as fast as they get answers. Every half minute one server is killed
with SIGKILL, and once the database with it. Finished workflows are kept for a week: every ten
seconds of the run count as a day for them, so that housekeeping, which each server does half a
minute after its start, has something to do. Writes `docs/performance/soak.md` and its picture;
`--quick` only prints. The exit status is 1 if anything acknowledged is gone or rows and tuples
disagree.
"""

import json
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from time import monotonic

import anyio
import click
import psutil
import psycopg
from mcp import MCPError
from mcp.types import CallToolResult

from contenders import CONTENDERS, Call, Contender, text_of
from measuring import Running, running
from pictures import Chart, draw_charts
from processes import MIB, databases, describe_machine, family_below, kill, resident_mib
from texts import entry_text, question
from work_behind import find_database

ROOT = Path(__file__).parents[1]
CACHE = ROOT / ".cache/benchmarks"
OUTPUT = ROOT / "docs/performance"
_LOOK_S = 2.0
_CUT_OFF = (anyio.ClosedResourceError, anyio.BrokenResourceError, psutil.NoSuchProcess)
_AGEING_S = 10
_KEPT_MOST = 400
"""Entries of each client, from which on it deletes as many as it creates."""

_AGE = """\
update dbos.workflow_status set completed_at = completed_at - 86400000
where completed_at is not null
"""
_SIZES = """\
select
    (select count(*) from pg_stat_activity where backend_type = 'client backend'),
    (select sum(pg_table_size(c.oid)) from pg_class as c
     where c.relkind = 'r' and c.relnamespace::regnamespace::text in ('diary', 'dbos')),
    (select sum(pg_indexes_size(c.oid)) from pg_class as c
     where c.relkind = 'r' and c.relnamespace::regnamespace::text in ('diary', 'dbos')),
    (select count(*) from dbos.workflow_status),
    (select count(*) from dbos.workflow_status where status in ('ENQUEUED', 'PENDING')),
    (select count(*) from diary.entry)
"""


@dataclass(frozen=True)
class Sample:
    """How it stood at one moment."""

    time_s: float
    calls_per_s: float
    memory_mib: float
    """The largest server's."""
    connections: float
    tables_mib: float
    indexes_mib: float
    workflows: float
    waiting: float
    entries: float


@dataclass
class Soak:
    """What the clients know, and what was seen."""

    home: Path
    contender: Contender
    ends_at: float
    started_at: float = field(default_factory=monotonic)
    servers: dict[int, Running] = field(default_factory=dict[int, Running])
    kept: dict[str, str] = field(default_factory=dict[str, str])
    """Ids of entries that must be there, and the content that each must have."""
    unsure: set[str] = field(default_factory=set[str])
    """What a call was at that was never answered: it may be as before or as asked."""
    calls: Counter[str] = field(default_factory=Counter[str])
    failures: Counter[str] = field(default_factory=Counter[str])
    samples: list[Sample] = field(default_factory=list[Sample])
    kills: list[float] = field(default_factory=list[float])

    @property
    def is_over(self) -> bool:
        return monotonic() >= self.ends_at

    @property
    def url(self) -> str:
        return find_database(self.home)


class Client:
    """One agent at work: it does whatever a throw of the dice says, and remembers the answers."""

    def __init__(self, soak: Soak, number: int) -> None:
        self._soak = soak
        self._number = number
        self._randomly = Random(number)
        self._own: list[str] = []

    async def run(self) -> None:
        """Works until the time is over, with a new server whenever the last one was killed."""
        while not self._soak.is_over:
            try:
                async with running(self._soak.contender, self._soak.home) as server:
                    self._soak.servers[self._number] = server
                    await self._work(server)
            except* (MCPError, TimeoutError, OSError, RuntimeError, *_CUT_OFF) as cut:
                click.echo(f"client {self._number}: {cut.exceptions[0]!r}", err=True)

    async def _work(self, server: Running) -> None:
        while not self._soak.is_over:
            kind = self._choose()
            entry_id, call = self._call(kind)
            if entry_id is not None and kind in {"update", "delete"}:
                self._soak.unsure.add(entry_id)
            result = await server.call(call)
            self._soak.calls[kind] += 1
            if result.is_error:
                self._soak.failures[text_of(result).partition(":")[0]] += 1
            else:
                self._remember(kind, entry_id, call, result.structured_content or {})

    def _choose(self) -> str:
        if not self._own:
            return "create"
        kinds = ["create", "update", "share", "unshare", "delete", "search", "list", "get"]
        full = len(self._own) > _KEPT_MOST
        weights = [2 if full else 6, 2, 1, 1, 6 if full else 1, 3, 2, 3]
        return self._randomly.choices(kinds, weights)[0]

    def _call(self, kind: str) -> tuple[str | None, Call]:
        number = self._randomly.randrange(10**5)
        entry_id = self._randomly.choice(self._own) if self._own else None
        arguments: Mapping[str, dict[str, object]] = {
            "create": {"content": entry_text(number)},
            "update": {
                "entry_id": entry_id,
                "expected_version": 1,
                "content": f"changed {entry_text(number)}",
            },
            "share": {"entry_id": entry_id, "with": "reader"},
            "unshare": {"entry_id": entry_id, "with": "reader"},
            "delete": {"entry_id": entry_id},
            "search": {"query": question(number, 10**5)},
            "list": {},
            "get": {"entry_id": entry_id},
        }
        return entry_id, (f"diary_{kind}", arguments[kind])

    def _remember(
        self, kind: str, entry_id: str | None, call: Call, answer: Mapping[str, object]
    ) -> None:
        if kind == "create":
            entry_id = str(answer["id"])
            self._own.append(entry_id)
            self._soak.kept[entry_id] = str(call[1]["content"])
        elif kind == "update" and entry_id is not None:
            self._soak.kept[entry_id] = str(call[1]["content"])
            self._soak.unsure.discard(entry_id)
        elif kind == "delete" and entry_id is not None:
            self._own.remove(entry_id)
            del self._soak.kept[entry_id]
            self._soak.unsure.discard(entry_id)


async def watch(soak: Soak) -> None:
    """Takes a sample every other second."""
    before = 0
    while not soak.is_over:
        await anyio.sleep(_LOOK_S)
        done = soak.calls.total()
        memory = [_of_living(server, resident_mib) for server in list(soak.servers.values())]
        with suppress(psycopg.Error, OSError, LookupError, ValueError):
            async with await psycopg.AsyncConnection.connect(soak.url) as connection:
                row = await (await connection.execute(_SIZES)).fetchone()
            if row is not None:
                connections, tables, indexes, workflows, waiting, entries = map(float, row)
                soak.samples.append(
                    Sample(
                        time_s=monotonic() - soak.started_at,
                        calls_per_s=(done - before) / _LOOK_S,
                        memory_mib=max(memory, default=0),
                        connections=connections - 1,
                        tables_mib=tables / MIB,
                        indexes_mib=indexes / MIB,
                        workflows=workflows,
                        waiting=waiting,
                        entries=entries,
                    )
                )
        before = done


async def age(soak: Soak) -> None:
    """Makes every finished workflow a day older, now and then."""
    while not soak.is_over:
        await anyio.sleep(_AGEING_S)
        with suppress(psycopg.Error, OSError, LookupError, ValueError):
            async with await psycopg.AsyncConnection.connect(soak.url) as connection:
                await connection.execute(_AGE)


async def strike(soak: Soak, every_s: float) -> None:
    """Kills one server after the other, and once in the middle the database as well."""
    number = 0
    halfway = (soak.started_at + soak.ends_at) / 2
    struck_database = False
    while monotonic() + every_s < soak.ends_at:
        await anyio.sleep(every_s)
        victims = [server.process for server in soak.servers.values()]
        if victims:
            victim = victims[number % len(victims)]
            number += 1
            soak.kills.append(monotonic() - soak.started_at)
            kill([victim])
        if not struck_database and monotonic() > halfway:
            struck_database = True
            kill([process for each in databases(soak.home) for process in (each, *each.children())])


async def run(home: Path, minutes: float, clients: int, strike_every_s: float) -> Soak:
    contender = CONTENDERS["diary-mcp"](CACHE)
    environment = {**os.environ, **contender.environment(home)}
    await anyio.run_process([contender.command[0], "agent", "add", "reader"], env=environment)
    soak = Soak(home, contender, monotonic() + minutes * 60)
    async with anyio.create_task_group() as at_work:
        for number in range(clients):
            at_work.start_soon(Client(soak, number).run)
        at_work.start_soon(watch, soak)
        at_work.start_soon(age, soak)
        at_work.start_soon(strike, soak, strike_every_s)
    return soak


def content_of(result: CallToolResult) -> object:
    entry: dict[str, object] = result.structured_content or {}
    return entry.get("content")


async def find_losses(soak: Soak) -> list[str]:
    """What was acknowledged and is not so; and what the diary says about itself."""
    wrong: list[str] = []
    async with running(soak.contender, soak.home) as server:
        for entry_id, content in soak.kept.items():
            result = await server.call(("diary_get", {"entry_id": entry_id}))
            found = content_of(result)
            if found != content and entry_id not in soak.unsure:
                wrong.append(f"{entry_id} is not as it was acknowledged")
        await server.calm_down(60)
    environment = {**os.environ, **soak.contender.environment(soak.home)}
    command = [soak.contender.command[0], "status", "--json"]
    status = await anyio.run_process(command, env=environment, check=False)
    told = json.loads(status.stdout)
    if not told["ok"]:
        wrong.append(f"status: {told['problems']}")
    return wrong


@click.command()
@click.option("--minutes", default=3.0, show_default=True)
@click.option("--clients", default=3, show_default=True)
@click.option("--quick", is_flag=True, help="Half a minute: whether it works.")
@click.option("--output", type=click.Path(path_type=Path), help="Instead of docs/performance.")
def main(minutes: float, clients: int, output: Path | None, *, quick: bool) -> None:
    """Work, kill, look, and write the page with its charts."""
    machine = describe_machine(quick=quick)
    # Short, because a socket's path has to fit in a hundred characters.
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        home = Path(scratch)
        soak = anyio.run(run, home, 0.5 if quick else minutes, clients, 10 if quick else 30)
        wrong = anyio.run(find_losses, soak)
        kill(family_below(home))
    text = page(soak, machine, clients, wrong)
    click.echo(text)
    folder = output or (None if quick else OUTPUT)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "soak.md").write_text(text, "utf-8")
        draw_charts(charts(soak.samples), soak.kills, f"{machine}.", folder / "soak.svg")
    sys.exit(1 if wrong else 0)


def page(soak: Soak, machine: str, clients: int, wrong: Sequence[str]) -> str:
    lasted_s = monotonic() - soak.started_at
    rows: Sequence[tuple[str, Callable[[Sample], float]]] = (
        ("calls a second", lambda sample: sample.calls_per_s),
        ("memory of the largest server, MiB", lambda sample: sample.memory_mib),
        ("connections", lambda sample: sample.connections),
        ("tables, MiB", lambda sample: sample.tables_mib),
        ("indexes, MiB", lambda sample: sample.indexes_mib),
        ("workflows kept", lambda sample: sample.workflows),
        ("workflows waiting", lambda sample: sample.waiting),
        ("entries", lambda sample: sample.entries),
    )
    quarters = [
        soak.samples[len(soak.samples) * each // 4 : len(soak.samples) * (each + 1) // 4]
        for each in range(4)
    ]
    counts = ", ".join(f"{kind} {count:,}" for kind, count in soak.calls.most_common())
    told = ", ".join(f"{code} {count}" for code, count in soak.failures.most_common())
    lines = [
        "# Under mixed work for long",
        "",
        "`uv run --group bench python benchmarks/soak.py` wrote this page, and says what it does.",
        "",
        f"Measured {machine}.",
        "",
        f"{clients} clients made {soak.calls.total():,} calls in {lasted_s:.0f} s ({counts}).",
        f"Answered with an error code: {told or 'none'}.",
        f"Servers were killed {len(soak.kills)} times, the database once.",
        f"Acknowledged and not so afterwards, or rows and tuples that disagree: {len(wrong)}.",
        *(f"- {each}" for each in wrong[:10]),
        "",
        "![Charts over time](soak.svg)",
        "",
        "| highest in | 1st quarter | 2nd | 3rd | 4th |",
        "|---|---|---|---|---|",
        *(
            f"| {name} | "
            + " | ".join(
                f"{max((of(sample) for sample in quarter), default=0):,.0f}" for quarter in quarters
            )
            + " |"
            for name, of in rows
        ),
        "",
    ]
    return "\n".join(lines)


def charts(samples: Sequence[Sample]) -> list[Chart]:
    times = [sample.time_s for sample in samples]
    return [
        Chart("Calls a second", times, {"all clients": [s.calls_per_s for s in samples]}),
        Chart("Memory, MiB", times, {"the largest server": [s.memory_mib for s in samples]}),
        Chart("Connections to PostgreSQL", times, {"all": [s.connections for s in samples]}),
        Chart(
            "Size, MiB",
            times,
            {
                "tables": [s.tables_mib for s in samples],
                "indexes": [s.indexes_mib for s in samples],
            },
        ),
        Chart(
            "Workflows",
            times,
            {"kept": [s.workflows for s in samples], "waiting": [s.waiting for s in samples]},
        ),
        Chart("Entries", times, {"stored": [s.entries for s in samples]}),
    ]


def _of_living(server: Running, measure: Callable[..., float]) -> float:
    with suppress(Exception):
        return measure(server.process)
    return 0.0


if __name__ == "__main__":
    main()
