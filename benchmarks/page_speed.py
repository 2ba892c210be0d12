"""How long each page for people takes, in a small diary and in one of 100,000 entries.

    uv run python benchmarks/page_speed.py [--entries 100000] [--rounds 10]

A scratch diary, `diary-mcp open` as a child, and an HTTP client that asks as a browser does. The
processor time is that of the child and of PostgreSQL together; the last column is how much more of
it the large diary takes than the small one, which says more than times do on a busy machine.
"""

import os
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import anyio
import click
import httpx
import psutil

from diary_mcp.app import open_foundation
from diary_mcp.domain.entry import EntryDraft
from diary_mcp.domain.fields import AgentName
from diary_mcp.service.ports.index import WORDS_VERSION
from diary_mcp.settings import Settings
from diary_mcp.store.bounded_connection import BoundedConnection
from processes import cpu_s, family

_COMMAND = str(Path(sys.executable).with_name("diary-mcp"))
_AGENT = AgentName("bench")
_SMALL = 1_000
_MADE = """
insert into diary.entry (
    id, key, owner, author, session, type, title, content, tags, importance, supersedes, date,
    created_at, updated_at, content_hash
)
select
    lpad(to_hex(n), 32, '0')::uuid, 'key-' || n, %(agent)s, 'model', 'session-' || n / 20,
    (array['note', 'decision', 'problem', 'progress', 'discovery'])[mod(n, 5) + 1], 'Entry ' || n,
    'The queue of step ' || n || ' waits for *what* it slept over; ' || repeat('words ', 40),
    array['tag-' || mod(n, 300), 'often'], 0.5,
    case when mod(n, 20) = 19 then lpad(to_hex(n - 10), 32, '0')::uuid end,
    now() - n * interval '15 minutes', now(), now(), ''
from generate_series(1, %(entries)s) as n
"""
_INDEXED = """
insert into diary.search_document (entry_id, owner, words_by, words)
select id, owner, %(version)s, 50 from diary.entry on conflict do nothing
"""
_WORDS = """
insert into diary.posting (owner, term, entry_id, count)
select owner, term, id, 1 from diary.entry, unnest(array['queue', 'step', 'wait', 'word']) as term
on conflict do nothing
"""
_SETTLED = """
insert into diary.entry_permission (entry_id, owner, applied_generation)
select id, owner, 1 from diary.entry on conflict do nothing
"""
_GRANTED = """
insert into diary.relation_tuple (namespace, object, relation, subject_id)
select 'DiaryEntry', id::text, 'owner', owner from diary.entry
on conflict do nothing
"""


@dataclass(frozen=True)
class Pace:
    """Of one page: seconds until all of it is there, and of a processor's time."""

    median_s: float
    cpu_s: float
    kib: int


@click.command()
@click.option("--entries", default=100_000, show_default=True)
@click.option("--rounds", default=10, show_default=True)
def main(*, entries: int, rounds: int) -> None:
    """Print median, processor time and size of every page."""
    small, large = (_measure(each, rounds) for each in (_SMALL, entries))
    click.echo(f"| page | {_SMALL:,} | {entries:,} | CPU | more CPU | size |")
    click.echo("|---|---|---|---|---|---|")
    for page, pace in large.items():
        before = small[page]
        click.echo(
            f"| {page} | {before.median_s * 1000:.0f} ms | {pace.median_s * 1000:.0f} ms"
            f" | {pace.cpu_s * 1000:.0f} ms | {pace.cpu_s / before.cpu_s:.1f} | {pace.kib} KiB |"
        )


def _measure(entries: int, rounds: int) -> Mapping[str, Pace]:
    with tempfile.TemporaryDirectory(prefix="diary-page-") as scratch:
        home = Path(scratch)
        anyio.run(_fill, Settings(agent=_AGENT, data_dir=home / "diary"), entries)
        with _opened(home) as (process, link), httpx.Client(timeout=120) as browser:
            browser.get(link).raise_for_status()
            base = link.partition("/sign-in")[0]
            return {
                name: _pace(browser, base + path, process, home, rounds)
                for name, path in _pages().items()
            }


def _pages() -> Mapping[str, str]:
    entry = "/entries/key-500"
    return {
        "timeline": "/",
        "timeline, a type": "/?type=decision",
        "timeline, a tag": "/?tag=tag-7",
        "timeline, only what stands": "/?standing=yes",
        "timeline, long ago": "/?until=7 days ago",
        "shared with me": "/shared",
        "search, words": "/search?query=queue+step&mode=text",
        "diaries": "/diaries",
        "a diary": "/diary",
        "activity": "/activity",
        "tags": "/tags",
        "audit": "/audit",
        "status": "/status",
        "entry": entry,
        "edit": f"{entry}/edit",
        "delete": f"{entry}/delete",
        "write": "/write",
    }


def _pace(
    browser: httpx.Client, address: str, process: psutil.Process, home: Path, rounds: int
) -> Pace:
    browser.get(address).raise_for_status()
    seconds: list[float] = []
    watched = family(process, home)
    before = cpu_s(watched)
    size = 0
    for _ in range(rounds):
        started = perf_counter()
        size = len(browser.get(address).raise_for_status().content)
        seconds.append(perf_counter() - started)
    spent = (cpu_s(watched) - before) / rounds
    return Pace(statistics.median(seconds), max(spent, 0.001), size >> 10)


async def _fill(settings: Settings, entries: int) -> None:
    async with open_foundation(settings) as foundation:
        await foundation.diary.agents.register(_AGENT)
        await foundation.diary.entries.create(_AGENT, EntryDraft(content="The first."))
        async with foundation.database.connection() as connection:
            assert isinstance(connection, BoundedConnection)
            connection.longest_wait_s = None
            await connection.execute("set statement_timeout = 0")
            await connection.execute(_MADE, {"agent": _AGENT, "entries": entries})
            await connection.execute(_INDEXED, {"version": WORDS_VERSION})
            for statement in (_WORDS, _SETTLED, _GRANTED):
                await connection.execute(statement)
            await connection.execute("vacuum analyze")


@contextmanager
def _opened(home: Path) -> Generator[tuple[psutil.Process, str]]:
    environment = {
        **os.environ,
        "DIARY_MCP_AGENT": _AGENT,
        "DIARY_MCP_DATA_DIR": str(home / "diary"),
        "DIARY_MCP_EMBEDDINGS": "none",
    }
    with subprocess.Popen(
        [_COMMAND, "open", "--no-browser"], env=environment, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        try:
            yield psutil.Process(child.pid), child.stdout.readline().strip()
        finally:
            child.send_signal(signal.SIGINT)
            child.wait(timeout=60)


if __name__ == "__main__":
    main()
