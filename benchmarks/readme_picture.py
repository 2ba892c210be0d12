"""Draws docs/pictures/at-work.svg: two agents, two sessions, one diary, as they really answer.

    uv run --group bench python benchmarks/readme_picture.py

Each session is a server of its own over stdio on a data directory that is made for this run.
"""

import json
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

import anyio
from mcp.client.client import Client
from mcp.client.stdio import StdioServerParameters
from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

PICTURE = Path(__file__).parents[1] / "docs" / "pictures" / "at-work.svg"
THEME = TerminalTheme(
    (251, 250, 247),
    (51, 51, 51),
    [
        (51, 51, 51),
        (200, 85, 61),
        (11, 110, 79),
        (160, 120, 20),
        (50, 95, 140),
        (143, 111, 176),
        (20, 120, 130),
        (120, 120, 120),
    ],
)
WIDTH = 104
_SETTLED_S = 30


async def main() -> None:
    """Plays the scene and writes the picture."""
    console = Console(record=True, width=WIDTH, file=sys.stderr, force_terminal=True)
    with tempfile.TemporaryDirectory() as directory:
        entry_id = await _monday(console, directory)
        await _tuesday(console, directory)
        await _reviewer(console, directory, entry_id)
    PICTURE.parent.mkdir(exist_ok=True)
    svg = console.export_svg(title="diary-mcp", theme=THEME)
    # The font that rich names would be fetched from another host by whoever opens the picture.
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
    PICTURE.write_text(svg.replace("Fira Code", "monospace"), "utf-8")


async def _monday(console: Console, directory: str) -> str:
    _head(console, "Monday. Claude Code decides something, and writes it down")
    async with _server(directory, "claude") as client:
        created = await _call(
            console,
            client,
            "diary_create",
            {
                "type": "decision",
                "title": "Retry payments with the same key",
                "content": "A retry without it charged a customer twice. Backoff 1 s to 60 s.",
                "importance": 0.9,
            },
        )
        # Until the sentence model has seen it, as in any session of more than a few seconds.
        for _ in range(_SETTLED_S * 10):
            found = await client.call_tool("diary_search", {"query": "payments"})
            if "notice" not in (found.structured_content or {"notice": ""}):
                break
            await anyio.sleep(0.1)
    return str(created["id"])


async def _tuesday(console: Console, directory: str) -> None:
    _head(console, "Tuesday. A new session knows nothing, and asks")
    async with _server(directory, "codex") as client:
        await client.call_tool("diary_whoami", {})
    async with _server(directory, "claude") as client:
        found = await _call(
            console, client, "diary_search", {"query": "may I just repeat a failed payment?"}
        )
        entry = found["hits"][0]["id"]
        await _call(
            console,
            client,
            "diary_share",
            {"entry_id": entry, "with": "codex", "note": "before you touch billing"},
        )


async def _reviewer(console: Console, directory: str, entry_id: str) -> None:
    _head(console, "Another agent reads it, marked as somebody else's words")
    async with _server(directory, "codex") as client:
        # The grant reaches the permission backend a moment after the share was committed.
        for _ in range(_SETTLED_S * 10):
            if not (await client.call_tool("diary_get", {"entry_id": entry_id})).is_error:
                break
            await anyio.sleep(0.1)
        await _call(console, client, "diary_get", {"entry_id": entry_id})


def _server(directory: str, agent: str) -> Client:
    return Client(
        StdioServerParameters(
            command=str(Path(sys.executable).with_name("diary-mcp")),
            args=["serve"],
            env={"DIARY_MCP_DATA_DIR": directory, "DIARY_MCP_AGENT": agent},
        )
    )


async def _call(
    console: Console, client: Client, tool: str, arguments: dict[str, Any]
) -> dict[str, Any]:
    console.print(Text(f"→ {tool} ", style="bold blue") + Text(_json(arguments)))
    result = await client.call_tool(tool, arguments)
    answer: dict[str, Any] = result.structured_content or {}
    console.print(Text("← ", style="bold green") + Text(_json(answer), style="green"))
    return answer


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False)


def _head(console: Console, text: str) -> None:
    console.print(Text(f"\n# {text}", style="bright_black"))


if __name__ == "__main__":
    anyio.run(main)
