"""MCP clients of `diary-mcp serve` over stdio: one of our own that knows no SDK, and the SDK's.

Ours is bytes on two pipes, so that a test can send what no SDK would, have many calls under way
at once, and kill the server at any moment. Every line that the server writes is looked at: what is
no JSON-RPC message is kept in `noise`, and the errors that answer no request of ours, which are
those for lines that a test wrote itself, in `refusals`.
"""

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import AsyncGenerator, Generator, Mapping
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, Literal, cast

from mcp.client.client import Client
from mcp.client.stdio import StdioServerParameters

from support.fork_server import COMMAND, StartCommand, start_command
from support.keto_config import KetoAddress
from support.paths import keys_of

Json = dict[str, Any]
Era = Literal["2025-11-25", "2026-07-28"]
ERAS: tuple[Era, ...] = ("2025-11-25", "2026-07-28")

_DEADLINE_S = 60
_IDENTITY: Json = {"name": "test", "version": "0"}


class ConnectionLostError(Exception):
    """The server is gone; whether it did what it was asked is unknown."""


class ProtocolError(Exception):
    """The server answered with a JSON-RPC error."""

    def __init__(self, error: Json) -> None:
        super().__init__(f"{error['code']}: {error['message']}")
        self.code: int = error["code"]


@dataclass(frozen=True)
class Answer:
    """What a tool answered."""

    is_error: bool
    text: str
    structured: Json | None

    @property
    def code(self) -> str:
        """`ok`, or the stable word that the error begins with."""
        return self.text.partition(":")[0] if self.is_error else "ok"

    @property
    def data(self) -> Json:
        """The structured content of a call that went well."""
        assert not self.is_error, self.text
        assert self.structured is not None
        return self.structured


def environment(
    *,
    agent: str = "local",
    database_url: str | None = None,
    data_dir: Path | None = None,
    keto: KetoAddress | None = None,
    embeddings: str = "none",
) -> dict[str, str]:
    """The environment of a server: this process's, with no setting but these.

    Without an embedding model unless it is asked for: every server would load one for itself.
    With another database, all its servers have their keys in one directory.
    """
    if database_url is not None and data_dir is None:
        data_dir = keys_of(database_url)
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith("DIARY_MCP_")
    }
    settings = {
        "DIARY_MCP_EMBEDDINGS": embeddings,
        "DIARY_MCP_AGENT": agent,
        "DIARY_MCP_DATABASE_URL": database_url,
        "DIARY_MCP_DATA_DIR": None if data_dir is None else str(data_dir),
        "DIARY_MCP_KETO_READ_URL": keto and keto.read_url,
        "DIARY_MCP_KETO_WRITE_URL": keto and keto.write_url,
    }
    return inherited | {name: value for name, value in settings.items() if value is not None}


class RawClient:
    """One client and the server process that it started."""

    def __init__(
        self,
        settings: Mapping[str, str],
        *,
        era: Era = "2025-11-25",
        start: StartCommand = start_command,
    ) -> None:
        self.noise: list[bytes] = []
        self.refusals: list[Json] = []
        self._era: Era = era
        self._ids = count(1)
        self._lock = threading.Lock()
        self._write_lock = threading.Lock()
        self._waiting: dict[int, Future[Json]] = {}
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115  # closed with the process
        self.process = start(
            "serve",
            env=settings,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        if era == "2025-11-25":
            self._initialized = self.request(
                "initialize",
                {"protocolVersion": era, "capabilities": {}, "clientInfo": _IDENTITY},
            )
            self.notify("notifications/initialized")

    def initialized(self) -> Json:
        """The answer to `initialize`."""
        return self._initialized.result(_DEADLINE_S)

    def request(self, method: str, params: Json | None = None) -> Future[Json]:
        """Sends a request; the future gives its result."""
        return self._request(method, params)

    def notify(self, method: str, params: Json | None = None) -> None:
        self.send_bytes(_line({"method": method, "params": self._era_of(params)}))

    def start_call(self, tool: str, /, **arguments: object) -> Future[Json]:
        """A tool call under way; `answer_of` waits for it. `with_` is sent as `with`."""
        if "with_" in arguments:
            arguments["with"] = arguments.pop("with_")
        return self.request("tools/call", {"name": tool, "arguments": arguments})

    def start_raw_call(self, tool: str, arguments: bytes) -> Future[Json]:
        """A tool call whose arguments are these bytes, whatever they are."""
        placeholder = "the arguments"
        return self._request(
            "tools/call",
            {"name": tool, "arguments": placeholder},
            (b'"%s"' % placeholder.encode(), arguments),
        )

    def call(self, tool: str, /, **arguments: object) -> Answer:
        """A tool call and its answer."""
        return answer_of(self.start_call(tool, **arguments))

    def create(self, content: object = "What happened.", **arguments: object) -> Json:
        """An entry that was acknowledged."""
        return self.call("diary_create", content=content, **arguments).data

    def wait_until_up(self) -> "RawClient":
        """Returns once the tools work."""
        assert self.call("diary_whoami").code == "ok"
        return self

    def send_bytes(self, line: bytes) -> None:
        """Writes a line as it is."""
        stdin = self.process.stdin
        assert stdin is not None
        try:
            with self._write_lock:
                stdin.write(line)
                stdin.flush()
        except (BrokenPipeError, ValueError):
            self._lose_all()

    @property
    def is_lost(self) -> bool:
        """Whether the server is gone."""
        return self.process.poll() is not None

    def hang_up(self) -> None:
        """Closes the server's stdin."""
        assert self.process.stdin is not None
        self.process.stdin.close()

    def wait(self, within_s: float = _DEADLINE_S) -> int:
        """The exit status, once the server has ended and all it wrote is read."""
        status = self.process.wait(within_s)
        self._reader.join(within_s)
        return status

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        self.process.kill()
        self.wait()

    def stderr(self) -> str:
        """What it has written to stderr so far."""
        return os.pread(self._stderr.fileno(), 1 << 24, 0).decode("utf-8", "replace")

    def close(self) -> None:
        """Kills it; what it wrote to stderr is shown with a test that fails."""
        if self._stderr.closed:
            return
        self.kill()
        sys.stderr.write(self.stderr())
        for stream in (self.process.stdin, self.process.stdout, self._stderr):
            assert stream is not None
            try:
                stream.close()
            except BrokenPipeError:
                continue

    def _era_of(self, params: Json | None) -> Json:
        if self._era == "2025-11-25":
            return params or {}
        meta = {
            "io.modelcontextprotocol/protocolVersion": self._era,
            "io.modelcontextprotocol/clientInfo": _IDENTITY,
            "io.modelcontextprotocol/clientCapabilities": {},
        }
        return {**(params or {}), "_meta": meta}

    def _request(
        self, method: str, params: Json | None, replace: tuple[bytes, bytes] = (b"", b"")
    ) -> Future[Json]:
        number = next(self._ids)
        answer: Future[Json] = Future()
        answer.set_running_or_notify_cancel()
        with self._lock:
            self._waiting[number] = answer
        line = _line({"id": number, "method": method, "params": self._era_of(params)})
        self.send_bytes(line.replace(*replace, 1) if replace[0] else line)
        if not self._reader.is_alive():
            self._lose_all()
        return answer

    def _read(self) -> None:
        stdout = self.process.stdout
        assert stdout is not None
        for line in stdout:
            message = _parse(line)
            if message is None:
                self.noise.append(line)
            elif "method" not in message:
                self._take(message)
        self._lose_all()

    def _take(self, message: Json) -> None:
        number: object = message.get("id")
        with self._lock:
            answer = self._waiting.pop(number, None) if isinstance(number, int) else None
        if answer is None and "error" in message and not isinstance(number, int):
            self.refusals.append(message)
        elif answer is None:
            self.noise.append(json.dumps(message).encode())
        elif "error" in message:
            answer.set_exception(ProtocolError(message["error"]))
        else:
            answer.set_result(message["result"])

    def _lose_all(self) -> None:
        with self._lock:
            lost, self._waiting = self._waiting, {}
        for answer in lost.values():
            answer.set_exception(ConnectionLostError("The server is gone."))


def answer_of(call: Future[Json]) -> Answer:
    """What a tool call answers.

    Raises:
        ConnectionLostError: the server went away before it answered.
        ProtocolError: it answered with a JSON-RPC error.
    """
    result = call.result(_DEADLINE_S)
    (content,) = result["content"]
    return Answer(
        is_error=result.get("isError", False),
        text=content["text"],
        structured=result.get("structuredContent"),
    )


@contextmanager
def raw_client(
    settings: Mapping[str, str], *, era: Era = "2025-11-25", start: StartCommand = start_command
) -> Generator[RawClient]:
    """A client whose server is killed at the end, if it is still there."""
    client = RawClient(settings, era=era, start=start)
    try:
        yield client
    finally:
        client.close()


@asynccontextmanager
async def sdk_client(settings: Mapping[str, str], era: Era) -> AsyncGenerator[Client]:
    """The SDK's client, speaking one era, with a server of its own."""
    server = StdioServerParameters(command=COMMAND, args=["serve"], env=dict(settings))
    mode = "legacy" if era == "2025-11-25" else "auto"
    async with Client(server, mode=mode, read_timeout_seconds=_DEADLINE_S) as client:
        yield client


def _line(message: Json) -> bytes:
    # ASCII only: what cannot be encoded travels as an escape.
    return json.dumps({"jsonrpc": "2.0", **message}).encode("ascii") + b"\n"


def _parse(line: bytes) -> Json | None:
    """The JSON-RPC message on this line, or `None` where it is none."""
    try:
        message: object = json.loads(line)
    except ValueError:
        return None
    if not isinstance(message, dict):
        return None
    parsed = cast("Json", message)
    return parsed if parsed.get("jsonrpc") == "2.0" else None
