"""Servers that are stopped for a while (SIGSTOP: a laptop that sleeps, a paused container).

The limits after which PostgreSQL ends what a sleeper holds are scaled down by the URL, unless
`DIARY_MCP_CHAOS_FULL_LIMITS` is set.
"""

import os
import signal
from collections.abc import Generator
from contextlib import contextmanager
from urllib.parse import quote

from support.clients import RawClient, environment
from support.ground_truth import Row, ask

FULL = bool(os.environ.get("DIARY_MCP_CHAOS_FULL_LIMITS"))
LIMITS = "" if FULL else "-c idle_in_transaction_session_timeout=500 -c lock_timeout=500"
PROGRESS_S = 35 if FULL else 15
"""Of what a sleeper holds, PostgreSQL has ended the last by then, on a busy machine too."""

_AT_WORK = """
select pid, state, wait_event_type, wait_event, left(query, 200), xact_start::text
from pg_stat_activity where datname = current_database()
"""


def start_limited(url: str) -> RawClient:
    """A client of Alice's with a server of its own."""
    limited = f"{url}&options={quote(LIMITS)}" if LIMITS else url
    return RawClient(environment(agent="alice", database_url=limited))


@contextmanager
def asleep(client: RawClient) -> Generator[None]:
    os.kill(client.process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(client.process.pid, signal.SIGCONT)


def list_sessions(url: str) -> list[Row]:
    """What each session of the database does, for who waits in vain."""
    return ask(url, _AT_WORK)
