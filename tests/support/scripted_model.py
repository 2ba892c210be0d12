"""A language model on loopback that says what a test wrote down, for a real agent client.

It speaks as much of Anthropic's Messages API as Claude Code needs, streamed, and of OpenAI's
Responses API as Codex does.
"""

import json
import os
import subprocess
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import chain, repeat
from pathlib import Path
from threading import Thread
from uuid import uuid4

import pytest

from support.clients import Json

Turn = Sequence[Json]

CODEX_TOOLS = "mcp__diary"
_MAX_WAITS = 60


def say(text: str) -> Json:
    return {"type": "text", "text": text}


def call(tool: str, **arguments: object) -> Json:
    return {"type": "tool_use", "name": tool, "input": arguments}


class ScriptedModel:
    """Answers the n-th request that offers tools with the n-th turn, later ones with "done".

    Codex's requests count once they offer the diary's tools; before, it is let wait for them.
    """

    def __init__(self, turns: Sequence[Turn]) -> None:
        self.url = ""
        self.read: list[str] = []
        """What it was given with each of these requests, as JSON."""

        self._turns = chain(turns, repeat([say("done")]))
        self._waits = repeat([call("exec_command", cmd="sleep 1")], _MAX_WAITS)

    def answer(self, request: Json) -> bytes:
        turn = [say("ok")]
        if request.get("tools"):
            self.read.append(json.dumps(request["messages"]))
            turn = list(next(self._turns))
        if not request.get("stream"):
            return json.dumps(_message(turn)).encode()
        return b"".join(map(_streamed, _events(turn, len(self.read))))

    def respond(self, request: Json) -> bytes:
        """The same over the Responses API."""
        turn = [say("ok")]
        names = [tool.get("name") for tool in request.get("tools", [])]
        if CODEX_TOOLS in names:
            self.read.append(json.dumps(request["input"]))
            turn = list(next(self._turns))
        elif names:
            turn = next(self._waits)
        return b"".join(map(_streamed, _responses(turn)))


def _streamed(event: Json) -> bytes:
    return f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()


def _message(content: Sequence[Json]) -> Json:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "scripted",
        "content": list(content),
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 1, "output_tokens": 1},
    }


def _events(turn: Turn, number: int) -> Generator[Json]:
    yield {"type": "message_start", "message": {**_message([]), "stop_reason": None}}
    for index, step in enumerate(turn):
        block, delta = say(""), {"type": "text_delta", "text": step.get("text")}
        if step["type"] == "tool_use":
            block = Json(step, id=f"toolu_{number}_{index}", input={})
            delta = {"type": "input_json_delta", "partial_json": json.dumps(step["input"])}
        yield {"type": "content_block_start", "index": index, "content_block": block}
        yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    calls = any(step["type"] == "tool_use" for step in turn)
    reason = {"stop_reason": "tool_use" if calls else "end_turn", "stop_sequence": None}
    yield {"type": "message_delta", "delta": reason, "usage": {"output_tokens": 1}}
    yield {"type": "message_stop"}


def _responses(turn: Turn) -> Generator[Json]:
    items = [_item(step) for step in turn]
    yield {"type": "response.created", "response": {"id": "r"}}
    for index, item in enumerate(items):
        yield {"type": "response.output_item.done", "output_index": index, "item": item}
    usage = {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}
    yield {"type": "response.completed", "response": {"id": "r", "output": items, "usage": usage}}


def _item(step: Json) -> Json:
    name = uuid4().hex
    if step["type"] == "text":
        content = [{"type": "output_text", "text": step["text"]}]
        return {"type": "message", "role": "assistant", "id": name, "content": content}
    namespace, _, tool = step["name"].rpartition("__")
    return {
        "type": "function_call",
        "id": name,
        "call_id": name,
        "name": tool,
        "arguments": json.dumps(step["input"]),
        **({"namespace": namespace} if namespace else {}),
    }


def run_client(
    command: Sequence[str | Path], *, env: Mapping[str, str], folder: Path, data_dir: Path
) -> str:
    """Runs a client to its end in a project's folder; what it printed.

    Nothing of this environment reaches it but the path to programs. Skips the test where hooks,
    whose failures are counted in the diary's `data_dir`, had too little time.
    """
    folder.mkdir(exist_ok=True)
    done = subprocess.run(
        command,
        env={"PATH": os.environ["PATH"], **env},
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2_000:] + done.stdout[-2_000:]
    failures = [path.read_text("utf-8") for path in (data_dir / "hooks").glob("*.failures")]
    if any("took too long" in each for each in failures):
        pytest.skip("this machine is too busy for what a hook may take")
    return done.stdout


def give_hooks_time(configuration: Path) -> None:
    """Lets the client wait for its hooks where this machine is slow; they end by themselves."""
    text = configuration.read_text("utf-8").replace('"timeout": 10', '"timeout": 60')
    assert '"timeout": 60' in text
    configuration.write_text(text, "utf-8")


@contextmanager
def scripted_model(*turns: Turn) -> Generator[ScriptedModel]:
    """The model at its `url`, for as long as the block runs."""
    model = ScriptedModel(turns)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None: ...  # noqa: A002  # its name

        def do_HEAD(self) -> None:  # its name
            self._send(b"")

        def do_GET(self) -> None:  # its name
            self._send(b'{"data": []}')

        def do_POST(self) -> None:  # its name
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            asked = {"/v1/messages": model.answer, "/v1/responses": model.respond}
            answer = asked.get(self.path.partition("?")[0])
            if answer is None:
                return self._send(b'{"input_tokens": 1}')
            request: Json = json.loads(body)
            kind = "text/event-stream" if request.get("stream") else "application/json"
            return self._send(answer(request), kind)

        def _send(self, body: bytes, kind: str = "application/json") -> None:
            self.send_response(200)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    model.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield model
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
