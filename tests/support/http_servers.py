"""`diary-mcp serve --transport http` for tests, and ways to talk to it: bytes, httpx, the SDK."""

import asyncio
import json
import os
import tempfile
import time
from collections.abc import AsyncGenerator, Collection, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta

import httpx
import httpx2
from mcp.client.client import Client
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client

from diary_mcp.domain.fields import AgentName
from diary_mcp.domain.scopes import TOKEN_SCOPES, TokenScope
from diary_mcp.service.agents.tokens import IssuedToken, TokenService
from diary_mcp.store.database import open_database
from diary_mcp.store.tokens import PostgresTokens
from support.clients import Answer, Era, Json
from support.fork_server import start_command
from support.ground_truth import eventually

_DEADLINE_S = 60
_JSON = {"Content-Type": "application/json", "Accept": "application/json"}


class HttpServer:
    """One server process that listens on a free port of this machine."""

    def __init__(self, settings: Mapping[str, str], *flags: str) -> None:
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115  # closed with the process
        self.process = start_command(
            *("serve", "--transport", "http", "--port", "0", *flags),
            env=settings,
            stderr=self._stderr,
        )
        self.url = ""

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        url = httpx.URL(self.url)
        assert url.port is not None
        return url.host, url.port

    def events(self, name: str) -> list[Json]:
        """The log lines of this event so far."""
        return [line for line in self._log() if line["event"] == name]

    def stderr(self) -> str:
        """What it has written to stderr so far."""
        return os.pread(self._stderr.fileno(), 1 << 24, 0).decode("utf-8", "replace")

    def wait_until_listening(self) -> "HttpServer":
        """Returns once it can be connected to."""
        eventually(lambda: self.events("http.listening") or self.process.poll() is not None)
        listening = self.events("http.listening")
        assert listening, self.stderr()
        self.url = str(listening[0]["url"])
        return self

    def wait_until_ready(self) -> "HttpServer":
        """Returns once `/ready` says so."""
        eventually(lambda: httpx.get(f"{self.url}/ready", verify=False).status_code == 200)
        return self

    def end(self, signal_number: int) -> float:
        """Sends a signal; how long it took the process to end, in seconds."""
        started = time.monotonic()
        self.process.send_signal(signal_number)
        self.process.wait(_DEADLINE_S)
        return time.monotonic() - started

    def close(self) -> None:
        """Kills it, where it is still there."""
        self.process.kill()
        self.process.wait()
        self._stderr.close()

    def _log(self) -> list[Json]:
        *lines, _unfinished = self.stderr().split("\n")
        return [json.loads(line) for line in lines if line.startswith("{")]


@contextmanager
def http_server(settings: Mapping[str, str], *flags: str) -> Generator[HttpServer]:
    """A server that is killed at the end, if it is still there."""
    server = HttpServer(settings, *flags)
    try:
        yield server.wait_until_listening()
    finally:
        server.close()


def issue_token(
    database_url: str,
    agent: str,
    *,
    scopes: Collection[TokenScope] = TOKEN_SCOPES,
    lifetime: timedelta | None = None,
) -> IssuedToken:
    """A token that works from now on."""

    async def issue() -> IssuedToken:
        async with open_database(database_url, max_size=1) as database:
            tokens = TokenService(PostgresTokens(database))
            return await tokens.issue(AgentName(agent), scopes=scopes, lifetime=lifetime)

    # Not anyio's: with sniffio installed it refuses where a fixture of the module has a loop.
    return asyncio.run(issue())


def bearer(token: str) -> dict[str, str]:
    """The header that presents the token."""
    return {"Authorization": f"Bearer {token}"}


def request_body(method: str, params: Json | None = None) -> Json:
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params or {}}


def call_body(tool: str, arguments: Json | None = None) -> Json:
    return request_body("tools/call", {"name": tool, "arguments": arguments or {}})


def in_era(body: Json, era: Era) -> Json:
    """The request as a client of this era words it."""
    if era == "2025-11-25":
        return body
    envelope = {
        "io.modelcontextprotocol/protocolVersion": era,
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "0"},
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    return {**body, "params": {**body["params"], "_meta": envelope}}


def call_headers(tool: str, era: Era) -> dict[str, str]:
    """The headers with which a client of this era calls the tool."""
    version = {"MCP-Protocol-Version": era}
    if era == "2025-11-25":
        return version
    return version | {"Mcp-Method": "tools/call", "Mcp-Name": tool}


def post(
    server: HttpServer, body: Json | bytes, headers: Mapping[str, str] | None = None
) -> httpx.Response:
    """One POST to `/mcp`; without other headers, as a client of the handshake era sends it."""
    # Nothing here speaks TLS, and httpx would read every certificate of the system for each call.
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return httpx.post(
        f"{server.url}/mcp",
        content=content,
        headers=_JSON | dict(headers or {}),
        timeout=30,
        verify=False,
    )


def call(
    server: HttpServer,
    token: str | None,
    tool: str,
    arguments: Json | None = None,
    *,
    era: Era = "2025-11-25",
) -> Answer:
    """A tool call and its answer; without a token on a server that wants none."""
    sign_in = {} if token is None else bearer(token)
    body = in_era(call_body(tool, arguments), era)
    response = post(server, body, call_headers(tool, era) | sign_in)
    assert response.status_code == 200, response.text
    result = response.json()["result"]
    return Answer(
        is_error=result["isError"],
        text=result["content"][0]["text"],
        structured=result.get("structuredContent"),
    )


@asynccontextmanager
async def sdk_http_client(server: HttpServer, token: str, era: Era) -> AsyncGenerator[Client]:
    """The SDK's client of `/mcp`, speaking one era."""
    mode = "legacy" if era == "2025-11-25" else era
    async with httpx2.AsyncClient(headers=bearer(token), timeout=30, verify=False) as http_client:
        transport = streamable_http_client(f"{server.url}/mcp", http_client=http_client)
        async with Client(transport, mode=mode, read_timeout_seconds=30) as client:
            yield client


@asynccontextmanager
async def sdk_sse_client(server: HttpServer, token: str) -> AsyncGenerator[Client]:
    """The SDK's client of the legacy `/sse`."""
    transport = sse_client(f"{server.url}/sse", headers=dict(bearer(token)))
    async with Client(transport, mode="legacy", read_timeout_seconds=30) as client:
        yield client
