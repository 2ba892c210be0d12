"""Tools from npm, of exact versions, installed once a machine: outside of the checkout.

A test that needs one is skipped, and says why, where npm is missing or cannot reach its registry.
"""

import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

_CACHE = Path(tempfile.gettempdir(), f"diary-mcp-test-npm-{os.getuid()}")
_INSTALL_S = 300
_RUN_S = 120


@dataclass(frozen=True)
class NodeTool:
    """A command that an npm package brings; `also` are packages that it needs beside it.

    `prepare` is the package's own script that npm may not have run.
    """

    package: str
    version: str
    command: str
    also: tuple[str, ...] = ()
    prepare: str | None = None

    def path(self) -> Path:
        """The command, installed where that is still to be done; skips the test where it cannot."""
        return self._modules() / ".bin" / self.command

    def file(self, name: str) -> Path:
        """A file of the package, likewise."""
        return self._modules() / self.package / name

    def _modules(self) -> Path:
        folder = _installed(self)
        if isinstance(folder, str):
            pytest.skip(folder)
        return folder / "node_modules"

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
def _installed(tool: NodeTool) -> Path | str:
    """The folder with the tool, or why it cannot be installed; asked once."""
    npm = shutil.which("npm")
    if npm is None:
        return "npm is not installed"
    folder = _CACHE / f"{tool.package.replace('/', '-').removeprefix('@')}-{tool.version}"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "complete").exists():
            packages = (f"{tool.package}@{tool.version}", *tool.also)
            if (problem := _install(npm, folder, packages)) is not None:
                return f"npm cannot install {', '.join(packages)}: {problem}"
            if tool.prepare is not None:
                script = folder / "node_modules" / tool.package / tool.prepare
                subprocess.run(["node", str(script)], check=False, timeout=_INSTALL_S)
            (folder / "complete").touch()
    return folder


def _install(npm: str, folder: Path, packages: Sequence[str]) -> str | None:
    """Installs the packages; `None`, or what went wrong."""
    flags = ["--no-audit", "--no-fund", "--prefer-offline", "--loglevel=error", "--fetch-retries=1"]
    try:
        done = subprocess.run(
            [npm, "install", "--prefix", str(folder), *flags, *packages],
            capture_output=True,
            text=True,
            timeout=_INSTALL_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"it takes longer than {_INSTALL_S} s"
    return None if done.returncode == 0 else f"status {done.returncode} {done.stderr[-300:]}"


INSPECTOR = NodeTool("@modelcontextprotocol/inspector", "2.12.0", "mcp-inspector")
# It wants a newer Node.js than the long-term one, and gets it from npm.
CONFORMANCE = NodeTool(
    "@modelcontextprotocol/conformance", "0.1.16", "conformance", ("node@22.23.3",)
)
CLAUDE_CODE = NodeTool("@anthropic-ai/claude-code", "2.1.197", "claude", prepare="install.cjs")
CODEX = NodeTool("@openai/codex", "0.171.0", "codex")
MCPB = NodeTool("@anthropic-ai/mcpb", "2.1.2", "mcpb")
AXE = NodeTool("axe-core", "4.14.1", "")
# A newer release of its parser's runtime, which npm would take, does not load.
QUINT = NodeTool("@informalsystems/quint", "0.33.1", "quint", ("antlr4ts@0.5.0-alpha.4",))
# The extension's own package, and what makes one script of it for a page.
EXT_APPS = NodeTool(
    "@modelcontextprotocol/ext-apps",
    "2.0.4",
    "esbuild",
    (
        "@modelcontextprotocol/client@2.4.0",
        "@modelcontextprotocol/core@2.4.0",
        "zod@4.6.7",
        "esbuild@0.28.2",
    ),
)
