"""A way to PostgreSQL on which the network fails: silently, as firewalls and vanished hosts do.

The other end stays connected and acknowledges what is sent, but nothing passes any more: neither
side is told. What the kernel of a lost host does not even acknowledge is not played here.
"""

import asyncio
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from urllib.parse import parse_qs, quote, urlsplit, urlunsplit

from anyio.from_thread import start_blocking_portal

_CHUNK = 65536


class PostgresProxy:
    """Where a process finds PostgreSQL over TCP."""

    def __init__(self, url: str) -> None:
        self._parts = urlsplit(url)
        self._query = parse_qs(self._parts.query)
        self._passes = True
        self._refuses = False
        self._silenced: set[asyncio.Task[None]] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._clients: set[asyncio.StreamReader] = set()
        self.port = 0

    @property
    def url(self) -> str:
        """The database, through here."""
        options = self._query.get("options", [])
        query = "&".join(f"options={quote(option)}" for option in options)
        user = f"{self._parts.username}@" if self._parts.username else ""
        netloc = f"{user}127.0.0.1:{self.port}"
        return urlunsplit(self._parts._replace(netloc=netloc, query=query))

    def count_clients(self) -> int:
        """How many have not hung up."""
        return sum(not client.at_eof() for client in self._clients)

    def silence(self) -> None:
        """From now on nothing passes on the connections that there are, nor on new ones."""
        self._passes = False

    def lose_connections(self) -> None:
        """What is connected now is silent for ever; new connections work."""
        self._silenced |= self._tasks

    def refuse(self) -> None:
        """As without a PostgreSQL: what is connected is cut off, and nothing else is let in."""
        self._refuses = True
        for task in self._tasks:
            task.cancel()

    def restore(self) -> None:
        """New connections work again."""
        self._passes = True
        self._refuses = False

    async def serve(self, client: asyncio.StreamReader, answers: asyncio.StreamWriter) -> None:
        if self._refuses:
            answers.close()
            return
        self._clients.add(client)
        server, requests = await self._connect()
        pair = [
            asyncio.create_task(self._pump(client, requests)),
            asyncio.create_task(self._pump(server, answers)),
        ]
        self._tasks.update(pair)
        try:
            await asyncio.wait(pair)
        finally:
            for task in pair:
                task.cancel()
            self._tasks.difference_update(pair)
            requests.close()
            answers.close()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        (host,) = self._query.get("host", [self._parts.hostname or "localhost"])
        port = int(self._query.get("port", [str(self._parts.port or 5432)])[0])
        if host.startswith("/"):
            return await asyncio.open_unix_connection(f"{host}/.s.PGSQL.{port}")
        return await asyncio.open_connection(host, port)

    async def _pump(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        while data := await source.read(_CHUNK):
            if task in self._silenced or not self._passes:
                # It is taken, and goes nowhere; not even that this end hangs up is passed on.
                if task is not None:
                    self._silenced.add(task)
                continue
            target.write(data)
            await target.drain()
        if task in self._silenced:
            await asyncio.Event().wait()
        target.close()


@asynccontextmanager
async def serving_postgres(url: str) -> AsyncGenerator[PostgresProxy]:
    """The proxy, on the loop of whoever asks."""
    proxy = PostgresProxy(url)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()


@contextmanager
def postgres_proxy(url: str) -> Generator[PostgresProxy]:
    """The proxy, in a thread of its own."""
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(serving_postgres(url)) as proxy,
    ):
        yield proxy
