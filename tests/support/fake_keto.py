"""A small HTTP server that stands in for Ory Keto and misbehaves as a test wants."""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Literal
from urllib.parse import parse_qsl, urlsplit

OUR_NAMESPACES = ("Agent", "Group", "Diary", "DiaryEntry")


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    query: dict[str, str]
    body: bytes

    @property
    def json(self) -> object:
        return json.loads(self.body)


@dataclass(frozen=True)
class Reply:
    """Bytes on the wire, and what becomes of the connection after them."""

    raw: bytes
    then: Literal["go on", "stall", "close", "reset"] = "go on"


Handler = Callable[[Request], Awaitable[Reply]]


def reply(status: int, body: object = None) -> Reply:
    """A whole answer with `body` as JSON, or as it is where it is text."""
    content = body if isinstance(body, str) else json.dumps(body)
    head = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nContent-Length: "
    return Reply(f"{head}{len(content.encode())}\r\n\r\n{content}".encode())


def namespaces(*names: str) -> Reply:
    return reply(200, {"namespaces": [{"name": name} for name in names]})


async def answer_as_empty(request: Request) -> Reply:
    match request.path:
        case "/namespaces":
            return namespaces(*OUR_NAMESPACES)
        case "/relation-tuples":
            return reply(200, {"relation_tuples": [], "next_page_token": ""})
        case "/relation-tuples/check/openapi":
            return reply(200, {"allowed": False})
        case "/admin/relation-tuples":
            return Reply(b"HTTP/1.1 204 No Content\r\n\r\n")
        case "/health/alive":
            return reply(200, {"status": "ok"})
        case _:
            return reply(404, "404 page not found")


@dataclass
class FakeKeto:
    """Both APIs on one port. What `answers` does not name is answered as an empty Keto would."""

    otherwise: Handler
    url: str = ""
    answers: dict[str, Handler] = field(default_factory=dict[str, Handler])
    requests: list[Request] = field(default_factory=list[Request])
    at_once: int = 0
    most_at_once: int = 0

    def always(self, path: str, answer: Reply) -> None:
        """Answers every request for `path` alike."""

        async def answer_alike(_request: Request) -> Reply:
            return answer

        self.answers[path] = answer_alike

    def count(self, path: str) -> int:
        return sum(request.path == path for request in self.requests)

    async def answer(self, request: Request) -> Reply:
        self.requests.append(request)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            return await self.answers.get(request.path, self.otherwise)(request)
        finally:
            self.at_once -= 1


@asynccontextmanager
async def fake_keto(otherwise: Handler = answer_as_empty) -> AsyncGenerator[FakeKeto]:
    """A running fake; its connections end with the block."""
    fake = FakeKeto(otherwise)
    connections: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        connections.add(task)
        try:
            await _converse(fake, reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            # The client went, or the block ended, whose stream protocol would tell it as an error.
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()[:2]
    fake.url = f"http://{host}:{port}"
    try:
        yield fake
    finally:
        server.close()
        for connection in connections:
            connection.cancel()
        await asyncio.gather(*connections, return_exceptions=True)


async def _converse(
    fake: FakeKeto, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    while True:
        answer = await fake.answer(await _read_request(reader))
        writer.write(answer.raw)
        await writer.drain()
        match answer.then:
            case "go on":
                continue
            case "stall":
                await asyncio.Event().wait()
            case "close":
                return
            case "reset":
                writer.transport.abort()
                return


async def _read_request(reader: asyncio.StreamReader) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    method, target, _ = head[0].split(" ")
    headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    url = urlsplit(target)
    query = dict(parse_qsl(url.query, keep_blank_values=True))
    return Request(method, url.path, query, body)
