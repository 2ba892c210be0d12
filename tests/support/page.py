"""The page for people in this process, and a browser that shows nothing."""

import re
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio
import httpx
import psycopg
from anyio.streams.memory import MemoryObjectReceiveStream
from starlette.types import ASGIApp, Message, Scope

from diary_mcp.app import Foundation
from diary_mcp.domain.entry import EntryDraft
from diary_mcp.domain.fields import AgentName, EntryId, Grantee
from diary_mcp.server.caller import Caller
from diary_mcp.server.dispatch import Dispatcher
from diary_mcp.server.resources.watchers import Watchers
from diary_mcp.service.diary import Diary
from diary_mcp.service.sharing.settlement import settle
from diary_mcp.transport.http.hosts import HostCheck, only_from
from diary_mcp.web.app import page_app
from diary_mcp.web.changes import Changes
from diary_mcp.web.page_requests import Desk
from diary_mcp.web.signing_in import LinkDoor
from support.html_pages import HtmlPage

ORIGIN = "http://127.0.0.1:4000"
BASE = "/not-to-be-guessed"
_LINE_END = re.compile("\r\n|\r|\n")


@dataclass(frozen=True)
class Page:
    """What a browser got."""

    status: int
    html: HtmlPage
    headers: httpx.Headers

    @property
    def text(self) -> str:
        return self.html.text


@dataclass(frozen=True)
class Browser:
    """One browser, which keeps its cookie."""

    client: httpx.AsyncClient
    door: LinkDoor
    app: ASGIApp

    async def sign_in(self) -> Page:
        return await self.get(f"/sign-in?link={self.door.secret}")

    @asynccontextmanager
    async def listening(self, path: str) -> AsyncGenerator[MemoryObjectReceiveStream[str]]:
        """What comes on a stream; leaving the block hangs up."""
        tell, told = anyio.create_memory_object_stream[str](100)
        hang_up = anyio.Event()
        address, _, query = path.partition("?")
        cookie = "; ".join(f"{name}={value}" for name, value in self.client.cookies.items())
        scope: Scope = {
            "type": "http", "method": "GET", "scheme": "http", "path": f"{BASE}{address}",
            "raw_path": b"", "root_path": "", "query_string": query.encode(),
            "headers": [(b"host", b"127.0.0.1:4000"), (b"cookie", cookie.encode())],
        }  # fmt: skip

        async def receive() -> Message:
            await hang_up.wait()
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            await tell.send(str(message.get("status", message.get("body", b"").decode())))

        async def run() -> None:
            async with tell:
                await self.app(scope, receive, send)

        async with anyio.create_task_group() as exchange, told:
            exchange.start_soon(run)
            yield told
            hang_up.set()

    async def get(self, path: str, **headers: str) -> Page:
        return _page(await self.client.get(f"{BASE}{path}", headers=headers))

    async def submit(self, page: Page, path: str, **typed: str) -> Page:
        """Fills in the page's form that goes to `path`, sends it, and goes where it leads.

        As a browser does, with every end of a line as CR LF.
        """
        fields = {**page.html.fields_of(f"{BASE}{path}"), **typed}
        sent = {name: _LINE_END.sub("\r\n", value) for name, value in fields.items()}
        return await self.post(path, sent)

    async def post(self, path: str, fields: Mapping[str, str], origin: str | None = ORIGIN) -> Page:
        """Sends what is said, and goes where it leads."""
        headers = {} if origin is None else {"origin": origin}
        answer = await self.client.post(f"{BASE}{path}", data=dict(fields), headers=headers)
        if answer.is_redirect:
            answer = await self.client.get(answer.headers["location"])
        return _page(answer)


@dataclass(frozen=True)
class PageSite:
    """One diary, to which any agent's browser can be connected."""

    foundation: Foundation
    url: str

    @property
    def diary(self) -> Diary:
        return self.foundation.diary

    async def write(self, content: str, agent: str = "alice", **fields: object) -> EntryId:
        draft = EntryDraft.model_validate({"content": content, **fields})
        owner = AgentName(agent)
        await self.diary.agents.register(owner)
        return (await self.diary.entries.create(owner, draft)).id

    async def share(self, entry_id: EntryId, grantee: str, note: str | None = None) -> None:
        """Shares an entry of alice's, and settles it."""
        await self.diary.agents.register(AgentName(grantee))
        alice = AgentName("alice")
        await self.diary.sharing.share(alice, str(entry_id), Grantee(grantee), note=note)
        await self.settle(entry_id)

    async def settle(self, entry_id: EntryId) -> None:
        await settle([entry_id], self.foundation.settlements, self.foundation.permissions)

    async def settle_diary(self, owner: str, name: str) -> None:
        """Carries out what the diary's rows say."""
        listed = await self.diary.diaries.list(AgentName(owner))
        (diary_id,) = [each.id for each in listed if each.name == name and each.owner == owner]
        assert diary_id is not None
        await settle([diary_id], self.foundation.settlements, self.foundation.permissions)

    async def announce(self, reader: str) -> None:
        """Announces this as the name of somebody whose lists have changed."""
        async with await psycopg.AsyncConnection.connect(self.url, autocommit=True) as connection:
            await connection.execute("select pg_notify('diary_reader', %s)", [reader])

    @asynccontextmanager
    async def stranger(
        self, agent: str = "alice", current: str | None = None
    ) -> AsyncGenerator[Browser]:
        """A browser of somebody who has not signed in to this agent's page."""
        caller = Caller(AgentName(agent), diary=current)
        door = LinkDoor(caller)
        watchers = Watchers(self._provide)
        dispatcher = Dispatcher(self._provide, lambda _context: caller)
        desk = Desk(dispatcher, door, BASE, changes=Changes(watchers))
        app = HostCheck(page_app(desk), only_from("127.0.0.1:4000"))
        transport = httpx.ASGITransport(app)
        async with (
            anyio.create_task_group() as background,
            httpx.AsyncClient(transport=transport, base_url=ORIGIN) as client,
        ):
            background.start_soon(watchers.run)
            yield Browser(client, door, app)
            background.cancel_scope.cancel()

    @asynccontextmanager
    async def browser(
        self, agent: str = "alice", current: str | None = None
    ) -> AsyncGenerator[Browser]:
        """A browser that is signed in."""
        async with self.stranger(agent, current) as browser:
            await browser.sign_in()
            yield browser

    async def _provide(self) -> Diary:
        return self.foundation.diary


def _page(answer: httpx.Response) -> Page:
    return Page(answer.status_code, HtmlPage(answer.text), answer.headers)
