"""What servers cost that do nothing, each as one window of a client starts it.

    uv run --group bench python benchmarks/idle.py [--servers 5] [--seconds 60]

They share one data directory, and each has written one entry. After a minute their CPU time, their
wake-ups (voluntary context switches of all threads) and their memory are counted, with the
PostgreSQL that they share. Then one of them writes an entry: what all of them take in as long a
time, less what they take when idle, is what an entry costs with all that follows it, loading the
model included.
"""

import os
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TextIO

import anyio
import click
import psutil
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client

from processes import cpu_s, databases, describe_machine, more_switches, proportional_mib, switches

SETTLING_S = 60


@click.command()
@click.option("--servers", default=5, show_default=True)
@click.option("--seconds", default=60.0, show_default=True, help="How long they are watched.")
@click.option("--quick", is_flag=True, help="Shows in half a minute that it works.")
def main(*, servers: int, seconds: float, quick: bool) -> None:
    """Prints what so many idle servers take."""
    click.echo(describe_machine(quick=quick))
    with tempfile.TemporaryDirectory() as home, Path(os.devnull).open("w", encoding="utf-8") as log:
        Path(home).chmod(0o755)  # PostgreSQL runs as nobody where we are root
        if quick:
            anyio.run(measure, Path(home), log, servers, 5, 5)
        else:
            anyio.run(measure, Path(home), log, servers, seconds, SETTLING_S)


async def measure(home: Path, log: TextIO, servers: int, seconds: float, settling_s: float) -> None:
    """Starts the servers below `home`, waits, and prints."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {"PATH": path, "DIARY_MCP_DATA_DIR": str(home / "diary")}
    parameters = StdioServerParameters(command="diary-mcp", args=["serve"], env=environment)
    async with AsyncExitStack() as stack:
        clients: list[ClientSession] = []
        for number in range(servers):
            wire = await stack.enter_async_context(stdio_client(parameters, errlog=log))
            clients.append(await stack.enter_async_context(ClientSession(*wire)))
            await clients[-1].initialize()
            await clients[-1].call_tool("diary_create", {"content": f"Server {number} is here."})
        await anyio.sleep(settling_s)
        processes = everything(home)
        cpu, wake_ups, started = cpu_s(processes), switches(processes), time.perf_counter()
        await anyio.sleep(seconds)
        lasted_s = time.perf_counter() - started
        idle = (cpu_s(processes) - cpu) / lasted_s
        click.echo(
            f"{servers} servers, {len(processes)} processes: "
            f"{idle:.2%} of a core, "
            f"{more_switches(switches(processes), wake_ups) / lasted_s:.0f} wake-ups a second, "
            f"{proportional_mib(processes):.0f} MiB"
        )
        cpu, started = cpu_s(everything(home)), time.perf_counter()
        await clients[0].call_tool("diary_create", {"content": "One more."})
        await anyio.sleep(seconds)
        more = cpu_s(everything(home)) - cpu - idle * (time.perf_counter() - started)
        click.echo(f"an entry, with all that follows it: {more:.2f} s of CPU")


def everything(home: Path) -> list[psutil.Process]:
    """The servers, what they have started, and their PostgreSQL."""
    found = psutil.Process().children(recursive=True)
    for database in databases(home):
        found += [database, *database.children(recursive=True)]
    return found


if __name__ == "__main__":
    main()
