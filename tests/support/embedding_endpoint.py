"""An embedding endpoint on this machine, as OpenAI-compatible servers are."""

import json
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import blake2b
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Endpoint:
    """What it is asked, and how it answers."""

    url: str = ""
    dimensions: int = 48
    status: int = 200
    raw: bytes | None = None
    """Sent in place of an answer."""
    poison: str = "\0"
    """A text with this in it is refused."""
    hangs: threading.Event = field(default_factory=threading.Event)
    """Once it is cleared, answers wait until it is set again."""
    requests: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    keys: set[str | None] = field(default_factory=set[str | None])

    def settings(self, model: str) -> dict[str, str]:
        """What lets a server ask this one."""
        return {
            "DIARY_MCP_EMBEDDINGS": "openai",
            "DIARY_MCP_EMBEDDINGS_URL": self.url,
            "DIARY_MCP_EMBEDDINGS_MODEL": model,
            "DIARY_MCP_EMBEDDINGS_API_KEY": "secret",
        }

    def answer(self, body: dict[str, Any]) -> tuple[int, bytes]:
        texts: list[str] = body["input"]
        if self.status != 200 or self.raw is not None:
            return self.status, self.raw or b'{"error": {"message": "out of order"}}'
        if any(self.poison in text or not text for text in texts):
            return 400, b'{"error": {"message": "refused"}}'
        data = [
            {"object": "embedding", "index": i, "embedding": self.embed(text)}
            for i, text in enumerate(texts)
        ]
        return 200, json.dumps({"object": "list", "data": data[::-1]}).encode()

    def embed(self, text: str) -> list[float]:
        """Texts are alike as far as they share words; cars are vehicles."""
        vector = [0.01] * self.dimensions
        for word in text.lower().replace("vehicle", "car").split():
            digest = blake2b(word.strip(".,?!").encode(), digest_size=2).digest()
            vector[int.from_bytes(digest) % self.dimensions] += 1
        return vector


@contextmanager
def embedding_endpoint() -> Generator[Endpoint]:
    """Runs one for as long as the block does."""
    endpoint = Endpoint()
    endpoint.hangs.set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            endpoint.requests.append({"path": self.path, **body})
            endpoint.keys.add(self.headers["Authorization"])
            endpoint.hangs.wait()
            status, content = endpoint.answer(body)
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # its name
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    endpoint.url = f"http://127.0.0.1:{server.server_port}/v1"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield endpoint
    finally:
        endpoint.hangs.set()
        server.shutdown()
        thread.join()
        server.server_close()
