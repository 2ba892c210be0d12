"""How much short sessions leave without vectors, and how long their ends take.

    uv run python benchmarks/short_sessions.py [--beside FOLDER] [--lasting 0.3 --lasting 1]

Five sessions in a row on a new data directory each write seven entries and end when their time is
over, counted from the answer to the first write, or after the last write. `--beside` takes turns
with another checkout of this repository.
"""

import json
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import IO

import click
import psycopg

from processes import describe_machine
from texts import entry_text
from work_behind import find_database

SESSIONS = 5
WRITES = 7
LASTING_S = (0.1, 0.3, 0.6, 1.0, 1.5, 2.0, 3.0)
HERE = Path(__file__).parents[1]
_CLIENT = {"name": "short", "version": "1"}
_OPENING = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": _CLIENT}
_EMBEDDED = "select count(*), count(vectors_by) from diary.search_document"


class Session:
    """One server, started as a client starts it, and spoken to in raw lines."""

    def __init__(self, checkout: Path, data_dir: Path) -> None:
        self._process = subprocess.Popen(
            [str(checkout / ".venv/bin/diary-mcp"), "serve"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={"PATH": "/usr/bin:/bin", "DIARY_MCP_DATA_DIR": str(data_dir)},
        )
        self.ask("initialize", _OPENING)
        self._send({"method": "notifications/initialized"})

    def call(self, tool: str, **arguments: str) -> None:
        """Waits for the answer."""
        self.ask("tools/call", {"name": tool, "arguments": arguments})

    def ask(self, method: str, parameters: Mapping[str, object]) -> None:
        self._send({"id": 1, "method": method, "params": parameters})
        answer = json.loads(_opened(self._process.stdout).readline())
        if answer["result"].get("isError"):
            raise click.ClickException(str(answer["result"]))

    def end(self) -> float:
        """How long it takes from the end of stdin to the end of the process, in seconds."""
        started = time.perf_counter()
        _opened(self._process.stdin).close()
        self._process.wait(60)
        return time.perf_counter() - started

    def _send(self, message: dict[str, object]) -> None:
        stdin = _opened(self._process.stdin)
        stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
        stdin.flush()


def measure(checkout: Path, lasting_s: float) -> str:
    """The sessions, and what there is after them, in a line."""
    ends_s = list[float]()
    with tempfile.TemporaryDirectory() as home:
        Path(home).chmod(0o755)  # PostgreSQL runs as nobody where we are root
        data_dir = Path(home, "diary")
        for number in range(SESSIONS):
            session = Session(checkout, data_dir)
            until = 0.0
            for entry in range(WRITES):
                session.call("diary_create", content=entry_text(number * WRITES + entry))
                until = until or time.perf_counter() + lasting_s
            time.sleep(max(0, until - time.perf_counter()))
            ends_s.append(session.end())
        session = Session(checkout, data_dir)
        session.call("diary_whoami")
        with psycopg.connect(find_database(Path(home))) as connection:
            (entries, embedded), *_ = connection.execute(_EMBEDDED).fetchall()
        session.end()
    return f"{embedded:>3} of {entries}, ends of {median(ends_s):.2f} s, {max(ends_s):.2f} at most"


@click.command()
@click.option("--beside", type=click.Path(exists=True, path_type=Path), help="Another checkout.")
@click.option(
    "--lasting", type=float, multiple=True, default=LASTING_S, help="Seconds; repeatable."
)
@click.option("--quick", is_flag=True, help="Shows that it works.")
def main(*, beside: Path | None, lasting: Sequence[float], quick: bool) -> None:
    """Prints how many entries have vectors after sessions of each length."""
    click.echo(describe_machine(quick=quick))
    for lasting_s in lasting[:1] if quick else lasting:
        for checkout in (HERE, beside):
            if checkout is not None:
                click.echo(f"{lasting_s:>4} s, {checkout.name}: {measure(checkout, lasting_s)}")


def _opened(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None, "asked for"  # an invariant
    return stream


if __name__ == "__main__":
    main()
