"""Tools from npm, of exact versions, installed once into `.cache/npm`.

A test that needs one is skipped, and says why, where npm is missing or cannot reach its registry.
"""

import fcntl
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

_CACHE = Path(__file__).parents[2] / ".cache" / "npm"
_INSTALL_S = 300
_RUN_S = 120


@dataclass(frozen=True)
class NodeTool:
    """A command that an npm package brings; `also` are packages that it needs beside it."""

    package: str
    version: str
    command: str
    also: tuple[str, ...] = ()

    def path(self) -> Path:
        """The command, installed where that is still to be done."""
        return _installed(self) / "node_modules" / ".bin" / self.command

    def run(
        self, *arguments: str | Path, environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Runs it to its end; installs it before, where that is still to be done."""
        command = self.path()
        modules = command.parents[1]
        path = os.pathsep.join((str(modules / "node" / "bin"), os.environ["PATH"]))
        return subprocess.run(
            [str(command), *map(str, arguments)],
            env={**os.environ, **(environment or {}), "PATH": path, "HOME": str(modules.parent)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_RUN_S,
            check=False,
        )


@cache
def _installed(tool: NodeTool) -> Path:
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not installed")
    folder = _CACHE / f"{tool.package.replace('/', '-').removeprefix('@')}-{tool.version}"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "complete").exists():
            _install(npm, folder, [f"{tool.package}@{tool.version}", *tool.also])
            (folder / "complete").touch()
    return folder


def _install(npm: str, folder: Path, packages: Sequence[str]) -> None:
    done = subprocess.run(
        [npm, "install", "--prefix", str(folder), "--no-audit", "--no-fund", "--silent", *packages],
        capture_output=True,
        text=True,
        timeout=_INSTALL_S,
        check=False,
    )
    if done.returncode != 0:
        pytest.skip(f"npm cannot install {', '.join(packages)}: {done.stderr[-300:]}")


INSPECTOR = NodeTool("@modelcontextprotocol/inspector", "2.12.0", "mcp-inspector")
# It wants a newer Node.js than the long-term one, and gets it from npm.
CONFORMANCE = NodeTool(
    "@modelcontextprotocol/conformance", "0.1.16", "conformance", ("node@22.23.3",)
)
MCPB = NodeTool("@anthropic-ai/mcpb", "2.1.2", "mcpb")
