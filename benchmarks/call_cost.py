"""What calls cost the server's process in CPU time, beside another commit of this repository.

    git worktree add ../before COMMIT && (cd ../before && uv sync)
    uv run --group bench python benchmarks/call_cost.py --beside ../before [--turns 4]

Both serve over stdio, each on data of its own, and take turns: a turn makes so many calls of each
kind, one after the other. The figures are the least of the turns, in milliseconds a call, of the
server's process alone: PostgreSQL and the embedding model have processes of their own. Work behind
a write is whatever the process takes, besides the calls, from a first write that launches DBOS
until `--behind` seconds after the last, polling and the end of DBOS included, because a user pays
for that too; by then all of it has to be done.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Generator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import Random
from typing import cast

import click
import psutil

from processes import describe_machine
from texts import entry_text, question
from work_behind import LONGEST_S, wait_for_work

ENTRIES = 300
CALLS = 60
READS = 240
WRITES = ("create", "share")
_OTHER = "other"
_LAUNCH_S = 3.0
_IS_DONE_S = 0.1

Arguments = dict[str, object]


class Server:
    """One server, spoken to in lines of JSON: the client's work must not weigh on the machine."""

    def __init__(self, program: Path, home: Path) -> None:
        self.program = program
        self.command = [str(program), "serve"]
        self.home = home
        self.environment = {
            **os.environ,
            "DIARY_MCP_DATA_DIR": str(home / "diary"),
            "DIARY_MCP_AGENT": "bench",
        }
        self.ids: list[str] = []
        self.number = 0
        self._asked = 0

    @contextmanager
    def running(self) -> Generator[None]:
        with subprocess.Popen(
            self.command,
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        ) as self._process:
            self.seen = psutil.Process(self._process.pid)
            self._ask(
                "initialize",
                {
                    "protocolVersion": "2025-11-25",
                    "capabilities": {},
                    "clientInfo": {"name": "bench", "version": "0"},
                },
            )
            self._send({"jsonrpc": "2.0", "method": "notifications/initialized"})
            yield
            assert self._process.stdin is not None, "asked for"
            self._process.stdin.close()

    def call(self, tool: str, arguments: Arguments) -> dict[str, object]:
        result = self._ask("tools/call", {"name": tool, "arguments": arguments})
        if result.get("isError"):
            raise click.ClickException(str(result["content"]))
        return cast("dict[str, object]", result["structuredContent"])

    def create(self) -> None:
        made = self.call("diary_create", {"content": entry_text(self.number)})
        self.number += 1
        self.ids.append(str(made["id"]))

    def wait_for_work(self, longest_s: float = LONGEST_S) -> None:
        wait_for_work(self.home, longest_s=longest_s)

    def cpu_s(self) -> float:
        """Of the process alone; a model that has ended would count as one of its children."""
        times = self.seen.cpu_times()
        return times.user + times.system

    def _ask(self, method: str, params: Arguments) -> dict[str, object]:
        self._asked += 1
        self._send({"jsonrpc": "2.0", "id": self._asked, "method": method, "params": params})
        assert self._process.stdout is not None, "asked for"
        for line in self._process.stdout:
            told = json.loads(line)
            if told.get("id") == self._asked:
                if "error" in told:
                    raise click.ClickException(str(told["error"]))
                return cast("dict[str, object]", told["result"])
        raise click.ClickException(f"{self.program} has ended")

    def _send(self, message: Arguments) -> None:
        assert self._process.stdin is not None, "asked for"
        self._process.stdin.write(json.dumps(message).encode() + b"\n")
        self._process.stdin.flush()


@click.command()
@click.option("--beside", type=click.Path(path_type=Path, exists=True), help="Another checkout.")
@click.option("--turns", default=4, show_default=True)
@click.option("--behind", "behind_s", default=30.0, show_default=True, help="Seconds.")
@click.option("--quick", is_flag=True, help="Shows in two minutes that it works.")
def main(*, beside: Path | None, turns: int, behind_s: float, quick: bool) -> None:
    click.echo(describe_machine(quick=quick))
    entries, divisor = (30, 12) if quick else (ENTRIES, 1)
    programs = {"this one": Path(sys.executable).with_name("diary-mcp")}
    if beside is not None:
        programs["beside"] = beside.resolve() / ".venv/bin/diary-mcp"
    costs: Mapping[str, dict[str, list[float]]] = {
        name: defaultdict(list[float]) for name in programs
    }
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)  # PostgreSQL runs as nobody where we are root
        servers = {
            name: Server(program, Path(folder) / str(place))
            for place, (name, program) in enumerate(programs.items())
        }
        with ExitStack() as stack:
            for server in servers.values():
                stack.enter_context(server.running())
                _fill(server, entries)
            for _ in range(1 if quick else turns):
                for name, server in servers.items():
                    for kind, cost_ms in _take_turn(server, divisor, behind_s).items():
                        costs[name][kind].append(cost_ms)
    _print(costs)


def _fill(server: Server, entries: int) -> None:
    server.call("diary_whoami", {})
    subprocess.run(
        [server.program, "agent", "add", _OTHER],
        env=server.environment,
        check=True,
        capture_output=True,
    )
    for _ in range(entries):
        server.create()
    server.wait_for_work()


def _take_turn(server: Server, divisor: int, behind_s: float) -> dict[str, float]:
    """What each kind of call took, in milliseconds a call."""
    found: dict[str, float] = {}
    for kind, (once, times) in _kinds(server, CALLS // divisor, READS // divisor).items():
        asleep = server.cpu_s()
        if kind in WRITES:
            server.create()
            time.sleep(_LAUNCH_S)
        before = server.cpu_s()
        for _ in range(times):
            once()
        called = server.cpu_s() - before
        found[kind] = called * 1_000 / times
        if kind in WRITES:
            time.sleep(behind_s)
            behind = server.cpu_s() - asleep - called
            found[f"work behind a {kind}"] = behind * 1_000 / times
            server.wait_for_work(longest_s=_IS_DONE_S)
    return found


def _kinds(server: Server, calls: int, reads: int) -> dict[str, tuple[Callable[[], object], int]]:
    """What is measured, each warmed up, and for how many calls."""
    randomly = Random(server.number)
    unshared = iter(server.ids[-calls:])

    def get() -> object:
        return server.call("diary_get", {"entry_id": randomly.choice(server.ids)})

    def search(mode: str) -> object:
        asked = question(randomly.randrange(10**6), server.number)
        return server.call("diary_search", {"query": asked, "mode": mode})

    def share() -> object:
        return server.call("diary_share", {"entry_id": next(unshared), "with": _OTHER})

    for mode in ("text", "hybrid"):
        search(mode)
    get()
    return {
        "get": (get, reads),
        "list of 20": (lambda: server.call("diary_list", {}), reads),
        "search by words": (lambda: search("text"), calls),
        "search hybrid": (lambda: search("hybrid"), calls),
        "create": (server.create, calls),
        "share": (share, calls),
    }


def _print(costs: Mapping[str, Mapping[str, list[float]]]) -> None:
    names = list(costs)
    click.echo(f"{'ms of CPU a call':<24}" + "".join(f"{name:>12}" for name in (*names, "ratio")))
    for kind in costs[names[0]]:
        least = [min(costs[name][kind]) for name in names]
        ratio = f"{least[0] / least[1]:>12.2f}" if len(least) > 1 else ""
        click.echo(f"{kind:<24}" + "".join(f"{each:>12.2f}" for each in least) + ratio)


if __name__ == "__main__":
    main()
