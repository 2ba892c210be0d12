"""How many characters a model reads of each tool's result, over a folder of entries.

    uv run python benchmarks/result_sizes.py FOLDER

FOLDER holds Markdown files; they are read into a fresh embedded diary, and every tool is called
as a client calls it. A result's text and its structured content are the same JSON, and clients
give their model one of them.
"""

import json
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from os.path import exists
from pathlib import Path

import anyio
import click
from mcp.client.client import Client
from mcp_types import TextResourceContents

from diary_mcp.app import Foundation, open_foundation
from diary_mcp.domain.fields import AgentName
from diary_mcp.files.markdown import read_markdown
from diary_mcp.server.build import build_server
from diary_mcp.server.caller import Caller
from diary_mcp.service.archive.importer import EntryImport, ImportedEntry
from diary_mcp.service.diary import Diary
from diary_mcp.settings import Settings

AGENT = AgentName("alice")
QUERIES = ("why was this decided", "failing test", "database", "handoff next steps", "permissions")
DRAFT = {
    "content": "The exporter writes to a temporary file and renames it, so that nobody reads half.",
    "type": "decision",
    "title": "Exports are renamed into place",
    "tags": ["export", "files"],
}
AIMS = {
    "diary_create": 350,
    "diary_update": 350,
    "diary_list (20)": 10_000,
    "diary_search (10), largest": 6_200,
    "diary_verify": 500,
    "diary_reflect": 6_000,
    "diary://context": 6_000,
}


async def measure(folder: Path, data_dir: Path) -> dict[str, int]:
    settings = Settings(data_dir=data_dir, agent=AGENT)
    async with open_foundation(settings, with_keys=True) as foundation:
        await import_folder(foundation, folder)

        async def provide() -> Diary:
            return foundation.diary

        server = build_server(provide, lambda _context: Caller(AGENT))
        async with Client(server) as client:
            return await measure_tools(client)


async def import_folder(foundation: Foundation, folder: Path) -> None:
    paths = sorted(folder.glob("*.md"))  # noqa: ASYNC240  # nothing else runs
    read = [
        read_markdown(path.read_bytes(), name=path.stem, modified_at=datetime.now(UTC))
        for path in paths
    ]
    signing = foundation.signing
    await signing.prepare(AGENT)
    run = EntryImport(
        foundation.store, AGENT, lambda _entry, _stored: False, signing, is_there=exists
    )
    await run.write([ImportedEntry(each.draft, source_hash=str(each.draft.key)) for each in read])
    await foundation.indexer.index_waiting()


async def measure_tools(client: Client) -> dict[str, int]:
    sizes: dict[str, int] = {}

    async def call(label: str, tool: str, arguments: Mapping[str, object]) -> dict[str, object]:
        result = await client.call_tool(tool, dict(arguments))
        assert not result.is_error, result.content
        text = json.dumps(result.structured_content, ensure_ascii=False, separators=(",", ":"))
        sizes[label] = max(sizes.get(label, 0), len(text))
        return result.structured_content or {}

    created = await call("diary_create", "diary_create", DRAFT)
    update = {"entry_id": created["id"], "expected_version": 1, "importance": 0.8}
    await call("diary_update", "diary_update", update)
    await call("diary_list (20)", "diary_list", {})
    for query in QUERIES:
        await call("diary_search (10), largest", "diary_search", {"query": query})
    for tool in ("diary_verify", "diary_reflect", "diary_tags", "diary_whoami", "diary_shares"):
        await call(tool, tool, {})
    await call("diary_verify (one)", "diary_verify", {"entry_id": created["id"]})
    await call("diary_get", "diary_get", {"entry_id": created["id"]})
    await call("diary_delete", "diary_delete", {"entry_id": created["id"]})
    context = await client.read_resource("diary://context")
    sizes["diary://context"] = sum(
        len(each.text.encode())
        for each in context.contents
        if isinstance(each, TextResourceContents)
    )
    tools = await client.list_tools()
    sizes["tools/list"] = len(
        json.dumps(
            [
                tool.model_dump(mode="json", by_alias=True, exclude_none=True)
                for tool in tools.tools
            ],
            separators=(",", ":"),
        )
    )
    return sizes


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
def main(folder: Path) -> None:
    """Print a table of what each tool returns."""
    with tempfile.TemporaryDirectory() as data_dir:
        sizes = anyio.run(measure, folder, Path(data_dir))
    click.echo("| result | characters | at most |\n|---|--:|--:|")
    for label, size in sizes.items():
        aim = f"{AIMS[label]:,}" if label in AIMS else ""
        click.echo(f"| {label} | {size:,} | {aim} |")


if __name__ == "__main__":
    main()
