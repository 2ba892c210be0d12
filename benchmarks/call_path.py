"""Which files of our own a tool call passes through, and how often it moves from file to file.

    uv run python benchmarks/call_path.py [--files]

A diary comes up in this process, on an embedded PostgreSQL in a scratch directory, and the SDK's
client calls each tool over the SDK's own memory transport. The first calls warm everything up;
the next one is watched by a profile hook, in every thread. Workflows do not run, so that nothing
but the call is seen. With `--files`, each file is named, in the order in which it was entered.
"""

import asyncio
import logging
import sys
import tempfile
import threading
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import click
import structlog
from mcp.client.client import Client

import diary_mcp
from diary_mcp.app import open_foundation
from diary_mcp.domain.fields import AgentName
from diary_mcp.server.build import build_server
from diary_mcp.server.caller import Caller
from diary_mcp.service.diary import Diary
from diary_mcp.settings import Settings

PACKAGE = str(Path(diary_mcp.__file__).parent)
AGENT = AgentName("bench")
OTHER = AgentName("other")
WARM_UP_CALLS = 5
CONTENT = (
    "The queue is polled ten times a second, because a listener would miss what it slept over."
)


IN_SERVER = ContextVar("IN_SERVER", default=False)
"""Not in what else runs here, such as whoever looks after PostgreSQL."""


@dataclass
class Watch:
    """Sees every function of ours that begins or goes on for a call, in every thread."""

    is_on: bool = False
    path: list[str] = field(default_factory=list[str])
    """Each file as it was entered; never the same twice in a row."""

    def __call__(self, frame: FrameType, event: str, _arg: object) -> None:
        if not self.is_on or event not in {"call", "return"} or not IN_SERVER.get():
            return
        now = frame if event == "call" else frame.f_back
        if now is None or not now.f_code.co_filename.startswith(PACKAGE):
            return
        entered = now.f_code.co_filename.removeprefix(PACKAGE + "/")
        if not self.path or self.path[-1] != entered:
            self.path.append(entered)

    @contextmanager
    def one_call(self) -> Generator[None]:
        """Sees what happens within the block."""
        self.path.clear()
        self.is_on = True
        try:
            yield
        finally:
            self.is_on = False

    def describe(self, tool: str, *, with_files: bool) -> str:
        files = list(dict.fromkeys(self.path))
        line = f"{tool:<20}{len(files):>6}{len(self.path) - 1:>8}"
        return "\n    ".join([line, *files]) if with_files else line


async def measure(data_dir: Path, *, with_files: bool) -> None:
    """Prints a line for each tool."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    watch = Watch()
    threading.setprofile(watch)
    sys.setprofile(watch)
    settings = Settings(data_dir=data_dir, agent=AGENT)
    async with open_foundation(settings, with_keys=True) as foundation:

        async def diary() -> Diary:
            return foundation.diary

        IN_SERVER.set(True)
        server = build_server(diary, lambda _context: Caller(AGENT))
        async with Client(server, cache=None) as client:
            written = await client.call_tool("diary_create", {"content": CONTENT, "key": "queue"})
            if written.is_error:
                raise click.ClickException(str(written.content))
            await foundation.diary.agents.register(OTHER)
            await foundation.indexer.index_waiting()
            for tool, arguments in CALLS.items():
                for _ in range(WARM_UP_CALLS):
                    await client.call_tool(tool, arguments)
                with watch.one_call():
                    result = await client.call_tool(tool, arguments)
                if result.is_error:
                    raise click.ClickException(str(result.content))
                click.echo(watch.describe(tool, with_files=with_files))


CALLS: dict[str, dict[str, object]] = {
    "diary_get": {"entry_id": "queue"},
    "diary_tags": {},
    "diary_list": {},
    "diary_create": {"content": CONTENT},
    "diary_search": {"query": "how often is the queue polled"},
    "diary_share": {"entry_id": "queue", "with": OTHER},
    "diary_shares": {},
    "diary_reflect": {},
    "diary_verify": {"entry_id": "queue"},
    "diary_whoami": {},
}


@click.command()
@click.option("--files", is_flag=True, help="Name the files.")
def main(*, files: bool) -> None:
    click.echo(f"{'':<20}{'files':>6}{'moves':>8}")
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(measure(Path(folder), with_files=files))


if __name__ == "__main__":
    main()
