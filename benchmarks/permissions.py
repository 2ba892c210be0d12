"""How soon Keto agrees, what a check costs, what replicas get done, and how soon one takes over.

    PYTHONPATH=tests uv run python benchmarks/permissions.py [--rounds 100] [--seconds 10]
        [--takeovers 5]

Everything is measured in one run against the real Ory Keto that the tests build (tools/keto), with
an embedded PostgreSQL, replicas and clients on this same machine.
"""

import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from time import perf_counter

import anyio
import click
import httpx

from diary_mcp.app import Foundation, open_foundation, run_workflows
from diary_mcp.domain.entry import EntryDraft
from diary_mcp.domain.fields import AgentName, EntryId, Grantee, GroupName
from diary_mcp.settings import Settings
from diary_mcp.store.agents import PostgresAgents
from quantiles import quantile
from support.clients import environment
from support.databases import create_template, postgres_server
from support.ground_truth import eventually, is_settled
from support.http_servers import HttpServer, bearer, call_body, issue_token
from support.replicas import HttpClient, busy_replica, replicas
from support.sites import KetoSite, keto_site

ANN, BOB, CAT, EVE = (AgentName(name) for name in ("ann", "bob", "cat", "eve"))
TEAM = GroupName("team")
PAGE = 50
CLIENTS = 8
POLL_S = 0.002
CONTENT = "The reason why the queue is polled ten times a second, in some detail. " * 8


@dataclass
class Table:
    """Durations in milliseconds, or a rate, by what was measured."""

    lines: list[str] = field(
        default_factory=lambda: [f"{'':<54}{'n':>6}{'p50 ms':>10}{'p99 ms':>10}{'a second':>10}"]
    )
    durations: dict[str, list[float]] = field(default_factory=dict[str, list[float]])

    async def time(self, name: str, run: Callable[[], Awaitable[object]]) -> None:
        started = perf_counter()
        await run()
        self.add(name, perf_counter() - started)

    def add(self, name: str, duration_s: float) -> None:
        self.durations.setdefault(name, []).append(duration_s * 1_000)

    def add_rate(self, name: str, count: int, duration_s: float) -> None:
        self.end_section()
        self.lines.append(f"{name:<54}{count:>6}{'':>10}{'':>10}{count / duration_s:>10.0f}")

    def end_section(self) -> None:
        for name, durations in self.durations.items():
            p99 = quantile(durations, 99)
            p50 = statistics.median(durations)
            self.lines.append(f"{name:<54}{len(durations):>6}{p50:>10.1f}{p99:>10.1f}")
        self.durations.clear()

    def __str__(self) -> str:
        self.end_section()
        return "\n".join(self.lines)


async def measure_in_process(site: KetoSite, table: Table, rounds: int) -> None:
    settings = Settings(
        database_url=site.url,
        keto_read_url=site.keto.read_url,
        keto_write_url=site.keto.write_url,
        embeddings="none",
    )
    async with open_foundation(settings) as foundation:
        for agent in (ANN, BOB, CAT, EVE):
            await foundation.diary.agents.register(agent)
        async with foundation.database.connection() as connection:
            await PostgresAgents(connection).add_group(TEAM)
        await foundation.permissions.add(TEAM, Grantee(CAT))
        async with run_workflows(foundation):
            entry_ids = await measure_settling(foundation, table, rounds)
            await measure_checks(foundation, table, rounds, entry_ids)


async def measure_settling(foundation: Foundation, table: Table, rounds: int) -> list[EntryId]:
    """From the return of a call to Keto listing the tuple, seen by polling."""
    entry_ids: list[EntryId] = []
    sharing = foundation.diary.sharing
    for _ in range(max(rounds, PAGE)):
        entry = await foundation.diary.entries.create(ANN, EntryDraft(content=CONTENT))
        await table.time("create: from commit to Keto's tuple", partial(wait, foundation, entry.id))
        await sharing.share(ANN, str(entry.id), Grantee(BOB))
        await table.time(
            "share: from commit to Keto's tuple", partial(wait, foundation, entry.id, 2)
        )
        await sharing.share(ANN, str(entry.id), Grantee(f"group:{TEAM}"))
        await wait(foundation, entry.id, 3)
        entry_ids.append(entry.id)
    return entry_ids


async def wait(foundation: Foundation, entry_id: EntryId, tuples: int = 1) -> None:
    while len(await foundation.permissions.list_entry_tuples([entry_id])) < tuples:  # noqa: ASYNC110  # nobody could tell us
        await asyncio.sleep(POLL_S)


async def measure_checks(
    foundation: Foundation, table: Table, rounds: int, entry_ids: Sequence[EntryId]
) -> None:
    """What Keto answers, and what a page of entries costs."""
    check = foundation.permissions.check_view
    readers = {"viewer": BOB, "member of a group": CAT, "stranger": EVE}
    for number in range(rounds):
        for name, agent in readers.items():
            one = [entry_ids[number % len(entry_ids)]]
            await table.time(f"check of one entry, {name}", partial(check, agent, one))
        await table.time(f"check of {PAGE} entries, viewer", partial(check, BOB, entry_ids[:PAGE]))
        await table.time("groups of an agent", partial(foundation.permissions.list_groups, CAT))


async def create_for(servers: Sequence[HttpServer], token: str, seconds: float) -> int:
    """How many creates the servers acknowledge, asked by clients that never pause."""
    ends_at = perf_counter() + seconds
    acknowledged = 0

    async def write(server: HttpServer) -> None:
        nonlocal acknowledged
        headers = {**bearer(token), "Accept": "application/json"}
        async with httpx.AsyncClient(verify=False, headers=headers, timeout=30) as client:
            while perf_counter() < ends_at:
                body = call_body("diary_create", {"content": CONTENT})
                answer = await client.post(f"{server.url}/mcp", json=body)
                assert not answer.raise_for_status().json()["result"]["isError"]
                acknowledged += 1

    async with anyio.create_task_group() as clients:
        for number in range(CLIENTS):
            clients.start_soon(write, servers[number % len(servers)])
    return acknowledged


def measure_throughput(site: KetoSite, table: Table, number: int, seconds: float) -> None:
    settings = environment(agent="nobody", database_url=site.url, keto=site.keto.address)
    token = issue_token(site.url, "writer").secret
    with ExitStack() as stack:
        servers = [stack.enter_context(closing(HttpServer(settings))) for _ in range(number)]
        for server in servers:
            server.wait_until_listening().wait_until_ready()
        asyncio.run(create_for(servers, token, 1))
        eventually(lambda: is_settled(site.url), within_s=600)
        started = perf_counter()
        acknowledged = asyncio.run(create_for(servers, token, seconds))
        wrote_s = perf_counter() - started
        eventually(lambda: is_settled(site.url), within_s=600)
        settled_s = perf_counter() - started
    name = f"{number} replica{'s' * (number > 1)}, {CLIENTS} clients over HTTP"
    table.add_rate(f"{name}: creates acknowledged", acknowledged, wrote_s)
    table.add_rate(f"{name}: creates settled", acknowledged, settled_s)


def measure_takeover(site: KetoSite, table: Table) -> None:
    """From the kill of a replica that is at work to everything being settled."""
    with replicas(site, 2) as running:
        client = HttpClient(running, issue_token(site.url, "writer").secret, seed=0)
        with closing(client):
            victim = busy_replica(running, client, CONTENT)
            killed = time.monotonic()
            running.kill(victim)
            eventually(lambda: is_settled(site.url), within_s=60)
            table.add("takeover after kill -9", time.monotonic() - killed)


def measure(rounds: int, seconds: float, takeovers: int) -> Table:
    table = Table()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        with postgres_server(folder / "postgres") as server_url:
            anyio.run(create_template, server_url)
            with keto_site(server_url, folder) as site:
                asyncio.run(measure_in_process(site, table, rounds))
                for number in (1, 2):
                    measure_throughput(site, table, number, seconds)
                for _ in range(takeovers):
                    measure_takeover(site, table)
    return table


@click.command()
@click.option("--rounds", default=100, show_default=True)
@click.option("--seconds", default=10.0, show_default=True)
@click.option("--takeovers", default=5, show_default=True)
def main(rounds: int, seconds: float, takeovers: int) -> None:
    """Print the table."""
    click.echo(str(measure(rounds, seconds, takeovers)))


if __name__ == "__main__":
    main()
