"""What changed elsewhere, told to pages that are open: that something did, never what it says."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import anyio
from anyio.streams.memory import MemoryObjectSendStream
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from diary_mcp.domain.errors import InvalidArgumentError, NotFoundError, UnavailableError
from diary_mcp.domain.fields import AgentName, EntryId
from diary_mcp.server.resources.watchers import Addresses, Watchers
from diary_mcp.service.diary import Diary
from diary_mcp.web.page_requests import Visit
from diary_mcp.web.signing_in import csrf_token

MAX_STREAMS_OF_ONE_SIGN_IN = 4
"""A browser keeps six connections to a server, and needs some of them for pages."""
MAX_STREAMS_OF_ONE_AGENT = 20
_MAX_ENTRIES = 50
# So often it is looked whether the reader is signed in still.
_BEAT_S = 15
# What changes all the time, as in an import, does not have the page fetched all the time.
_REST_S = 0.5
_LIST = "list"

Say = Callable[[bytes], Awaitable[None]]


@dataclass(frozen=True, eq=False)
class _Reader:
    agent: AgentName
    sign_in: str
    events: MemoryObjectSendStream[None]


@dataclass(frozen=True)
class Changes:
    """The streams of all pages that are open, a few for each agent."""

    watchers: Watchers
    _readers: set[_Reader] = field(default_factory=set[_Reader])

    def end(self, cookie: str) -> None:
        """Ends the streams of a sign-in."""
        for reader in [each for each in self._readers if each.sign_in == csrf_token(cookie)]:
            reader.events.close()

    async def follow(self, visit: Visit, addresses: Addresses, say: Say) -> None:
        """Says when what is watched has changed, until the reader is not signed in any more."""
        send, receive = anyio.create_memory_object_stream[None](1)
        reader = _Reader(visit.caller.agent, csrf_token(visit.cookie), send)

        async def tell(_address: str) -> None:
            # One that waits says it for all.
            with suppress(anyio.WouldBlock, anyio.ClosedResourceError):
                send.send_nowait(None)

        self._readers.add(reader)
        try:
            async with receive, send, self.watchers.watching(reader.agent, addresses, tell):
                await say(b"event: following\ndata: 1\n\n")
                while True:
                    event = b"event: beat"
                    with anyio.move_on_after(_BEAT_S):
                        await receive.receive()
                        event = b"event: changed"
                    if await visit.desk.door.identify(visit.cookie) is None:
                        return
                    await say(event + b"\ndata: 1\n\n")
                    await anyio.sleep(_REST_S)
        except (anyio.EndOfStream, UnavailableError):
            return
        finally:
            self._readers.discard(reader)

    def refuse_too_many(self, visit: Visit) -> None:
        """Raises: UnavailableError: the browser, or the agent, has enough pages open."""
        sign_in = csrf_token(visit.cookie)
        for most, pages in (
            (MAX_STREAMS_OF_ONE_SIGN_IN, sum(each.sign_in == sign_in for each in self._readers)),
            (
                MAX_STREAMS_OF_ONE_AGENT,
                sum(each.agent == visit.caller.agent for each in self._readers),
            ),
        ):
            if pages >= most:
                raise UnavailableError(f"{most} pages are open and hear of changes; close some.")


async def changes(visit: Visit) -> Response:
    """A stream that tells when what the address names has changed: some entries, or a list."""
    streams = visit.desk.changes
    if streams is None:
        raise UnavailableError("Changes cannot be followed here. Reload the page to see them.")
    streams.refuse_too_many(visit)
    asked = visit.query("entries", "kind")
    references = asked.get("entries", "").split(",")
    if len(references) > _MAX_ENTRIES:
        raise InvalidArgumentError(f"At most {_MAX_ENTRIES} entries can be watched by one page.")
    found = await visit.read(lambda diary: _find(diary, visit.caller.agent, references))
    watched = [*found, None] if asked.get("kind") == _LIST else found
    addresses: Addresses = dict.fromkeys(watched, frozenset({"changed"}))

    async def follow(say: Say) -> None:
        await streams.follow(visit, addresses, say)

    return _Stream(follow)


async def _find(diary: Diary, agent: AgentName, references: Sequence[str]) -> list[EntryId]:
    """Those that the agent may read."""
    found: list[EntryId] = []
    for reference in filter(None, references):
        with suppress(NotFoundError):
            found.append(await diary.watching.find(agent, reference))
    return found


class _Stream(Response):
    """An answer that goes on until it has said all, or the browser leaves."""

    media_type = "text/event-stream"

    def __init__(self, follow: Callable[[Say], Awaitable[None]]) -> None:
        super().__init__(headers={"X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._follow = follow

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002  # ASGI's
        async def say(text: bytes) -> None:
            await send({"type": "http.response.body", "body": text, "more_body": True})

        async def wait_for_leaving() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass
            both.cancel_scope.cancel()

        await send(
            {"type": "http.response.start", "status": 200, "headers": self.raw_headers},
        )
        async with anyio.create_task_group() as both:
            both.start_soon(wait_for_leaving)
            await self._follow(say)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            both.cancel_scope.cancel()
