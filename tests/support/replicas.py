"""Replicas of a deployment: HTTP servers on one database and one Keto, and their clients."""

import time
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import combinations, count
from random import Random

import httpx

from support.clients import ConnectionLostError, Json, answer_of
from support.ground_truth import eventually
from support.http_servers import HttpServer, bearer, call_body
from support.keto_proxy import Exchange, Fault
from support.sites import KetoSite

# What a process of the diary does not get from Keto in this time, it does not wait for any more.
_KETO_TIMEOUT_S = 2
_DEADLINE_S = 60


class Replicas:
    """Some servers, each with a name of its own; one that was killed has a successor."""

    def __init__(self, site: KetoSite) -> None:
        self.site = site
        self.servers: dict[str, HttpServer] = {}
        site.proxy.exchanges = []
        self.deaths: dict[str, float] = {}
        """When a process was certainly dead, by its name."""

        self._numbers = count(1)

    def start(self) -> str:
        """Starts another server; its name, once it can be called."""
        name = f"replica-{next(self._numbers)}"
        server = HttpServer(self.site.environment("nobody", name))
        self.servers[name] = server.wait_until_listening()
        return name

    @contextmanager
    def without(self, name: str) -> Generator[HttpServer]:
        """The server, to which no client turns while the block runs."""
        server = self.servers.pop(name)
        try:
            yield server
        finally:
            self.servers[name] = server

    def kill(self, name: str) -> None:
        """SIGKILL, and wait until it is gone."""
        server = self.servers.pop(name)
        server.close()
        self.deaths[name] = time.monotonic()

    def close(self) -> None:
        for name in list(self.servers):
            self.kill(name)


@contextmanager
def replicas(site: KetoSite, number: int) -> Generator[Replicas]:
    """So many servers that are ready; all are killed at the end."""
    running = Replicas(site)
    try:
        for name in [running.start() for _ in range(number)]:
            running.servers[name].wait_until_ready()
        yield running
    finally:
        running.close()
        site.proxy.faults.clear()


class HttpClient:
    """One agent's calls, each to a replica that is alive, as a load balancer would choose."""

    def __init__(self, running: Replicas, token: str, seed: int) -> None:
        self._running = running
        self._random = Random(seed)
        self._threads = ThreadPoolExecutor(8)
        self._client = httpx.Client(headers=bearer(token), verify=False, timeout=_DEADLINE_S)

    @property
    def is_lost(self) -> bool:
        """Never: another replica answers the next call."""
        return False

    def start_call(self, tool: str, /, **arguments: object) -> Future[Json]:
        """A tool call under way; `answer_of` waits for it. `with_` is sent as `with`."""
        if "with_" in arguments:
            arguments["with"] = arguments.pop("with_")
        server = self._random.choice(list(self._running.servers.values()))
        return self._threads.submit(self._post, server, call_body(tool, arguments))

    def close(self) -> None:
        self._threads.shutdown()
        self._client.close()

    def _post(self, server: HttpServer, body: Json) -> Json:
        try:
            response = self._client.post(
                f"{server.url}/mcp", json=body, headers={"Accept": "application/json"}
            )
        except httpx.TransportError as error:
            raise ConnectionLostError("The replica is gone.") from error
        assert response.status_code == 200, response.text
        result: Json = response.json()["result"]
        return result


def busy_replica(running: Replicas, client: HttpClient, content: str) -> str:
    """A replica that has claimed work of others which it cannot finish.

    Keto is silent to it alone.
    """
    name = _who_runs_workflows(running)
    running.site.proxy.faults[name] = Fault(held=True)

    def is_busy() -> bool:
        assert answer_of(client.start_call("diary_create", content=content)).code == "ok"
        return bool(entries_at_work(running, name))

    with running.without(name):
        eventually(is_busy)
    return name


def _who_runs_workflows(running: Replicas) -> str:
    """The replica that does; the others stand by."""

    def find() -> list[str]:
        duties = {
            name: [str(up["duty"]) for up in server.events("workflows.up")]
            for name, server in running.servers.items()
        }
        return [name for name, had in duties.items() if had and had[-1] != "rest"]

    eventually(find)
    return find()[0]


def entries_at_work(running: Replicas, name: str) -> set[str]:
    """Entries that the replica is asking Keto about: it waits for two seconds, and locks them."""
    since = time.monotonic() - 1
    return {
        entry_id
        for each in running.site.proxy.exchanges
        if each.who == name and each.begun > since
        for entry_id in each.entry_ids
    }


@dataclass(frozen=True)
class Run:
    """One process settling one entry, from its reading of the tuples to its writing; or a look."""

    who: str
    begun: float
    ended: float
    writes: bool = False


def runs(exchanges: Sequence[Exchange], deaths: dict[str, float]) -> list[Run]:
    """Every settling of an entry and every look at it, from what was asked about it, in order.

    A process that was killed runs nothing any more, whatever of its requests is still on the way.
    """
    latest: dict[str, int] = {}
    found: list[Run] = []
    for each in exchanges:
        ended = min(each.ended, each.begun + _KETO_TIMEOUT_S, deaths.get(each.who, float("inf")))
        if each.writes and each.who in latest:
            place = latest[each.who]
            found[place] = Run(each.who, found[place].begun, ended, writes=True)
        else:
            latest[each.who] = len(found)
            found.append(Run(each.who, each.begun, ended, each.writes))
    return found


def overlapping(found: Sequence[Run]) -> list[tuple[Run, Run]]:
    """Pairs of settlings by two processes at the same time. A look may be at any time."""
    settlings = [each for each in found if each.writes]
    return [
        (one, other)
        for one, other in combinations(settlings, 2)
        if one.who != other.who and one.begun < other.ended and other.begun < one.ended
    ]
