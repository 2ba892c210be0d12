"""A process that imports a folder and says so after each batch; run as a script."""

import sys
from pathlib import Path

import anyio

from diary_mcp.app import open_foundation
from diary_mcp.files.import_paths import import_paths
from diary_mcp.settings import Settings
from support.journal import OWNER


async def _import(database_url: str, folder: str) -> None:
    async with open_foundation(Settings(database_url=database_url)) as foundation:
        await import_paths(
            [Path(folder)],
            owner=OWNER,
            store=foundation.store,
            on_progress=lambda done, _total: _say(f"{done}\n"),
        )


def _say(line: str) -> None:
    sys.stdout.write(line)
    sys.stdout.flush()


if __name__ == "__main__":
    anyio.run(_import, sys.argv[1], sys.argv[2])
