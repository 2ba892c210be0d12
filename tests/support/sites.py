"""Deployments for tests that are no coroutines: a database of their own, and servers on it."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import jsonschema
from anyio.from_thread import start_blocking_portal

from support.clients import Json, RawClient, environment
from support.databases import fresh_database
from support.ground_truth import ask, check_promise, eventually
from support.keto_process import KetoServer, keto_server
from support.keto_proxy import KetoProxy, keto_proxy


@contextmanager
def own_database(server_url: str) -> Generator[str]:
    """The URL of a fresh, migrated database."""
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(fresh_database(server_url)) as url,
    ):
        yield url


def add_agents(url: str, *names: str) -> None:
    """Makes agents known that have no server of their own."""
    for name in names:
        ask(url, "insert into diary.agent (name) values (%s) on conflict do nothing", name)


class Site:
    """One server at a time on a database; another is started when it was killed."""

    def __init__(self, url: str, settings: dict[str, str]) -> None:
        self.url = url
        self._settings = settings
        self._client: RawClient | None = None

    def server(self) -> RawClient:
        """The server that is alive, or another one."""
        if self._client is None or self._client.process.poll() is not None:
            self.close()
            self._client = RawClient(self._settings)
        return self._client

    def kill(self) -> None:
        """Kills the server, where one was started and is alive."""
        if self._client is not None:
            self._client.kill()

    def close(self) -> None:
        if self._client is not None:
            self._client.close()


@contextmanager
def site(server_url: str, agent: str, embeddings: str = "none") -> Generator[Site]:
    with own_database(server_url) as url:
        settings = environment(agent=agent, database_url=url, embeddings=embeddings)
        opened = Site(url, settings)
        try:
            yield opened
        finally:
            opened.close()


@dataclass(frozen=True)
class KetoSite:
    """A database and a real Keto, with a way between that the diary's processes take."""

    url: str
    keto: KetoServer
    proxy: KetoProxy

    def environment(self, agent: str, who: str | None = None) -> dict[str, str]:
        """The settings of a process; `who` it is to the proxy, else the agent."""
        return environment(
            agent=agent, database_url=self.url, keto=self.proxy.address(who or agent)
        )

    def check(self, *, within_s: float = 60) -> None:
        """Waits until it is settled; then rows and Keto's tuples must agree."""
        check_promise(self.url, self.keto.address, within_s=within_s)


@contextmanager
def keto_site(server_url: str, folder: Path) -> Generator[KetoSite]:
    with (
        own_database(server_url) as url,
        keto_server(url, folder) as keto,
        keto_proxy(keto.address) as proxy,
    ):
        yield KetoSite(url, keto, proxy)


def embedded_url(data_dir: Path) -> str:
    """The database of the embedded PostgreSQL in a data directory, while it runs."""
    return f"postgresql://diary@/diary?host={quote(str(data_dir / 'postgres'))}&port=5432"


@dataclass(frozen=True)
class Deployment:
    """Three agents, one of them with two servers, on one database.

    Alice and eve speak the older protocol era; alice elsewhere and bob the newer one.
    """

    url: str
    alice: RawClient
    alice_elsewhere: RawClient
    bob: RawClient
    eve: RawClient
    """Nobody shares anything with her."""

    @property
    def servers(self) -> tuple[RawClient, ...]:
        return self.alice, self.alice_elsewhere, self.bob, self.eve

    @property
    def of_each_era(self) -> tuple[RawClient, RawClient]:
        """Both of alice's."""
        return self.alice, self.alice_elsewhere

    def tools(self) -> dict[str, Json]:
        """The tools as they are listed, by name."""
        listed: list[Json] = self.alice.request("tools/list").result(30)["tools"]
        return {tool["name"]: tool for tool in listed}

    def good(self, client: RawClient, tool: str, /, **arguments: object) -> Json:
        """What the tool answers, once it is seen to fit the schema that the tool declares."""
        structured = client.call(tool, **arguments).data
        jsonschema.validate(structured, self.tools()[tool]["outputSchema"])
        return structured

    def shared(self, **arguments: object) -> Json:
        """An entry of alice's that bob can read; settled."""
        entry_id = self.alice.create(**arguments)["id"]
        share = self.alice.call("diary_share", entry_id=entry_id, with_="bob")
        assert share.code == "ok"

        def get() -> Json:
            return self.alice.call("diary_get", entry_id=entry_id).data

        eventually(lambda: "sharing" not in get())
        return get()
