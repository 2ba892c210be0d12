"""What a model pays for a result: sizes over entries as a real diary has them."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from mcp.client.client import Client

from diary_mcp.domain.entry import EntryDraft
from diary_mcp.domain.fields import ENTRY_TYPES, AgentName
from support.in_memory import InMemory, good

pytestmark = pytest.mark.anyio

SENTENCE = (
    "the exporter writes a bundle before migration of tokens because replicas share one database "
    "and a queue that settles permissions after commit while handoff notes name what is open"
)
WORDS = SENTENCE.split(" ")
TAGS = ("architecture", "database", "permissions", "deployment", "testing", "ci", "security")
START = datetime(2026, 1, 30, 9, tzinfo=UTC)


def prose(seed: int, words: int) -> str:
    return " ".join(WORDS[(seed * 7 + i * (1 + seed % 5)) % len(WORDS)] for i in range(words))


def written(i: int) -> EntryDraft:
    """An entry of the shape that agents write: a heading, a page of text, and all of the fields."""
    title = f"{prose(i, 8)} {i}"[:52].capitalize()
    return EntryDraft(
        content=f"# {title}\n\n## Context\n\n{prose(i, 400)}\n\n- {prose(i + 1, 20)}\n",
        title=title,
        type=ENTRY_TYPES[i % len(ENTRY_TYPES)],
        tags=[*TAGS[i % 4 : i % 4 + 4], f"area-{i}"],
        importance=0.8,
        date=START + timedelta(hours=i),
        author="claude-opus-4-5-20251101",
        session=f"session-{i // 3:03}-orchestration",
        key=f"{START:%Y-%m-%d}-{i:02}-{'-'.join(prose(i, 5).split())}"[:38],
    )


async def size(client: Client, tool: str, **arguments: object) -> int:
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content
    return len(json.dumps(result.structured_content, ensure_ascii=False, separators=(",", ":")))


async def test_results_stay_small(in_memory: InMemory) -> None:
    alice, entries = AgentName("alice"), in_memory.foundation.diary.entries
    created = [await entries.create(alice, written(i)) for i in range(30)]
    for entry in created:
        await in_memory.settle(entry.id)

    async with in_memory.client() as client:
        new = await client.call_tool("diary_create", {"content": "Quite another subject."})
        sizes = {
            "update": await size(
                client, "diary_update", entry_id=str(created[0].id), expected_version=1, title="T"
            ),
            "list": await size(client, "diary_list", limit=20),
            "search": await size(client, "diary_search", query="exporter bundle", limit=10),
            "verify": await size(client, "diary_verify"),
            "reflect": await size(client, "diary_reflect"),
        }
        hits = (await good(client, "diary_search", query="exporter bundle", limit=10))["hits"]

    assert new.structured_content is not None
    assert len(json.dumps(new.structured_content)) <= 350
    assert len(hits) == 10
    most = {"update": 350, "list": 10_000, "search": 6_200, "verify": 500, "reflect": 6_000}
    assert {name: value for name, value in sizes.items() if value > most[name]} == {}
