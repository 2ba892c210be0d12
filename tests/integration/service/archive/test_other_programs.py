"""What other programs keep is imported for what it is, once, and comes back from an export."""

import json
import shutil
from pathlib import Path

import pytest

from diary_mcp.app import Foundation
from diary_mcp.domain.entry import EntryChanges
from diary_mcp.domain.fields import AgentName
from diary_mcp.domain.version import EntryRecord
from support.diary_files import get_entry, list_entries, run_export, run_import
from support.journal import OWNER

pytestmark = pytest.mark.anyio

BOB = AgentName("bob")
MEMORY = """---
name: terse-answers
description: Wants terse answers, without a summary at the end
metadata:
  node_type: memory
  type: feedback
  originSessionId: 1b1e0c1a-90f1-4c1c-9d35-9e1b0a6f7a11
---

Stop after the change.
**Why:** they read the diff.
"""
NOTE = """---
tags:
  - "#idea"
aliases: [Alpha]
created: 2025-03-04
cssclasses: wide
---
See [[B|the other]] and ![[pic.png]]. #todo/later, not `#code` nor C#.

```sh
#comment
```
"""
COFFEE = """---
title: Coffee Brewing Methods
type: note
tags: [coffee, brewing]
permalink: kitchen/coffee-brewing-methods
---

# Coffee Brewing Methods

## Observations
- [method] Pour over brings out flavor #clarity (by taste)

## Relations
- relates_to [[Coffee Bean Origins]]
"""
GRAPH: list[dict[str, object]] = [
    {
        "type": "entity",
        "name": "Sam",
        "entityType": "person",
        "observations": ["Likes tea", "Two\nlines"],
        "source": {"seen": 3},
    },
    {"type": "relation", "from": "Sam", "to": "Acme", "relationType": "works_at"},
    {"type": "relation", "from": "Acme", "to": "Oslo", "relationType": "is_in"},
]


def _node(name: str, parent: str | None, role: str, *parts: object) -> dict[str, object]:
    nothing: dict[str, object] = {}
    message: dict[str, object] = {
        "id": name,
        "author": {"role": role, "name": None, "metadata": nothing},
        "content": {"content_type": "multimodal_text", "parts": [*parts]},
        "metadata": {},
    }
    return {"id": name, "message": message, "parent": parent, "children": []}


CHATGPT: list[dict[str, object]] = [
    {
        "title": "A trip",
        "create_time": 1735732800.5,
        "update_time": 1735732900.5,
        "mapping": {
            "root": {"id": "root", "message": None, "parent": None, "children": ["s"]},
            "s": _node("s", "root", "system", ""),
            "q": _node("q", "s", "user", {"content_type": "image_asset_pointer"}, "Where?"),
            "dropped": _node("dropped", "q", "assistant", "Nowhere."),
            "a": _node("a", "q", "assistant", "To Oslo \ud83d."),
            "t": _node("t", "a", "tool", "what a tool said"),
        },
        "current_node": "t",
        "conversation_id": "6774f0c0-0000-8000-8000-000000000001",
        "default_model_slug": "gpt-4o",
        "gizmo_id": "g-7",
        "safe_urls": [],
    },
    {
        "title": "Nothing said",
        "mapping": {},
        "current_node": None,
        "conversation_id": "6774f0c0-0000-8000-8000-000000000002",
    },
]
CLAUDE: list[dict[str, object]] = [
    {
        "uuid": "0f6c1c1e-0000-4000-8000-000000000001",
        "name": "Bread",
        "summary": "How long to proof",
        "created_at": "2025-02-03T04:05:06.789012Z",
        "updated_at": "2025-02-03T04:06:06.789012Z",
        "account": {"uuid": "me"},
        "chat_messages": [
            {
                "uuid": "m1",
                "sender": "human",
                "text": "How long?",
                "content": [{"type": "text", "text": "How long?"}],
                "attachments": [{"file_name": "recipe.txt", "extracted_content": "Flour"}],
                "files": [],
            },
            {
                "uuid": "m2",
                "sender": "assistant",
                "text": "old text",
                "content": [
                    {"type": "thinking", "thinking": "hm"},
                    {"type": "tool_use", "name": "search", "input": {}},
                    {"type": "text", "text": "Two hours."},
                ],
            },
        ],
    }
]


def _write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def _lines(path: Path, values: list[dict[str, object]]) -> Path:
    return _write(path, "\n".join(map(json.dumps, values)))


def write_everything(folder: Path) -> Path:
    """A folder with something of each program."""
    memory = folder / ".claude" / "projects" / "-home-sam-shop" / "memory"
    _write(memory / "MEMORY.md", "- [Terse](feedback_terse.md) — no summaries\n")
    _write(memory / "feedback_terse.md", MEMORY)
    _write(memory.parent / "1b1e.jsonl", '{"type":"user","sessionId":"1b1e","message":{}}\n')
    _write(folder / "vault" / "A.md", NOTE)
    _write(folder / "vault" / ".obsidian" / "templates.json", '{"folder": "Meta/Forms"}')
    for name in ("Empty.md", "Meta/Forms/Daily.md", "Templates/Note.md"):
        _write(folder / "vault" / name, "" if name == "Empty.md" else "# {{title}}\n")
    _write(folder / "vault" / "Person.md", "---\naliases: [P]\n---\n")
    _write(folder / "basic" / "Coffee.md", COFFEE)
    _lines(folder / "memory.json", GRAPH)
    _write(folder / "chatgpt" / "conversations.json", json.dumps(CHATGPT))
    _write(folder / "claude" / "conversations.json", json.dumps(CLAUDE, indent=2))
    _write(folder / "claude" / "users.json", "[]")
    return folder


async def test_everything_is_imported_once_and_survives_an_export(
    foundation: Foundation, tmp_path: Path
) -> None:
    folder = write_everything(tmp_path / "in")
    paths = (folder, folder / ".claude" / "projects")

    first = await run_import(foundation, *paths)
    entries = await list_entries(foundation)
    second = await run_import(foundation, *paths)
    await run_export(foundation, tmp_path / "out")
    again = await run_import(foundation, tmp_path / "out")
    elsewhere = await run_import(foundation, tmp_path / "out", owner=BOB)

    assert {entry.key for entry in entries} == {
        "MEMORY", "feedback_terse", "A", "Person", "Coffee", "memory/Sam", "memory/Acme",
        "chatgpt/6774f0c0-0000-8000-8000-000000000001",
        "claude/0f6c1c1e-0000-4000-8000-000000000001",
    }  # fmt: skip
    assert (first.imported, first.rejected) == (9, [])
    assert (second.imported, second.unchanged, second.rejected) == (0, 9, [])
    assert (again.imported, again.unchanged, again.rejected) == (0, 9, [])
    assert await list_entries(foundation) == entries
    assert (elsewhere.imported, elsewhere.rejected) == (9, [])
    assert list(map(_fields, await list_entries(foundation, BOB))) == list(map(_fields, entries))


def _fields(entry: EntryRecord) -> tuple[object, ...]:
    return (
        entry.key, entry.type, entry.title, entry.content, entry.tags, entry.importance,
        entry.date, entry.session, entry.author.replace(BOB, OWNER),
    )  # fmt: skip


async def test_an_export_is_the_same_in_its_zip_as_unpacked(
    foundation: Foundation, tmp_path: Path
) -> None:
    folder = write_everything(tmp_path / "in")
    for program in ("chatgpt", "claude"):
        shutil.make_archive(str(tmp_path / program), "zip", folder / program)

    first = await run_import(foundation, tmp_path / "chatgpt.zip", tmp_path / "claude.zip")
    unpacked = await run_import(foundation, folder / "chatgpt", folder / "claude")

    assert (first.imported, first.rejected) == (2, [])
    assert (unpacked.imported, unpacked.unchanged, unpacked.rejected) == (0, 2, [])


async def test_claude_codes_memory_has_its_description_kind_and_session(
    foundation: Foundation, tmp_path: Path
) -> None:
    await run_import(foundation, write_everything(tmp_path) / ".claude" / "projects")

    entry = await get_entry(foundation, "feedback_terse")

    assert entry.title == "Wants terse answers, without a summary at the end"
    assert entry.tags == ["feedback"]
    assert entry.session == "1b1e0c1a-90f1-4c1c-9d35-9e1b0a6f7a11"
    assert entry.front_matter == MEMORY.partition("\nStop")[0]


async def test_a_copy_of_claude_codes_memory_is_as_the_folder_is(
    foundation: Foundation, tmp_path: Path
) -> None:
    projects = write_everything(tmp_path / "in") / ".claude" / "projects"
    copy = shutil.copytree(projects / "-home-sam-shop" / "memory", tmp_path / "copied")

    await run_import(foundation, copy)

    assert {entry.importance for entry in await list_entries(foundation)} == {0.1}


async def test_a_vaults_notes_keep_their_text_and_have_the_tags_in_it(
    foundation: Foundation, tmp_path: Path
) -> None:
    folder = write_everything(tmp_path / "in")
    await run_import(foundation, folder / "vault" / "A.md", folder / "vault" / "Person.md")

    note, person = [await get_entry(foundation, key) for key in ("A", "Person")]

    assert note.content == NOTE.partition("wide\n---\n")[2]
    assert (note.tags, f"{note.date:%Y-%m-%d}") == (["idea", "todo/later"], "2025-03-04")
    assert (note.importance, person.content) == (0.5, "# Person\n")


async def test_an_entity_is_its_observations_and_relations(
    foundation: Foundation, tmp_path: Path
) -> None:
    path = write_everything(tmp_path) / "memory.json"
    await run_import(foundation, path)
    sam = await get_entry(foundation, "memory/Sam")
    _lines(path, [*GRAPH, {"type": "relation", "from": "Sam", "to": "Tea"}])

    report = await run_import(foundation, path)

    assert sam.content == "# Sam\n\n- Likes tea\n- Two\n  lines\n\n- works_at [[Acme]]\n"
    assert (sam.title, sam.tags) == ("Sam", ["person"])
    assert '"seen": 3' in (sam.front_matter or "")
    assert (await get_entry(foundation, "memory/Acme")).content == "# Acme\n\n- is_in [[Oslo]]\n"
    assert (report.imported, report.unchanged) == (1, 1)
    assert (await get_entry(foundation, "memory/Sam")).version == 2


async def test_the_memories_of_two_projects_do_not_mix(
    foundation: Foundation, tmp_path: Path
) -> None:
    one = _lines(tmp_path / "one" / "memory.jsonl", GRAPH[:1])
    other = _lines(tmp_path / "other" / "memory.jsonl", [{**GRAPH[0], "observations": ["x"]}])

    await run_import(foundation, one)
    reports = [await run_import(foundation, other) for _ in range(2)]

    assert [entry.key for entry in await list_entries(foundation)] == [
        "memory/Sam", "other/memory/Sam",
    ]  # fmt: skip
    assert [(each.imported, each.unchanged) for each in reports] == [(1, 0), (0, 1)]


async def test_a_conversation_is_what_was_said_on_the_branch_that_was_shown(
    foundation: Foundation, tmp_path: Path
) -> None:
    await run_import(foundation, write_everything(tmp_path))

    trip = await get_entry(foundation, f"chatgpt/{CHATGPT[0]['conversation_id']}")
    bread = await get_entry(foundation, f"claude/{CLAUDE[0]['uuid']}")

    assert trip.content == (
        "**User:**\n\n[image asset pointer]\n\nWhere?\n\n**Assistant:**\n\nTo Oslo \ufffd.\n"
    )
    assert (trip.author, f"{trip.date:%Y-%m-%d}") == ("gpt-4o", "2025-01-01")
    assert trip.front_matter == '{"default_model_slug": "gpt-4o", "gizmo_id": "g-7"}'
    assert bread.content == (
        "**User:**\n\nHow long?\n\n[attached: recipe.txt]\n\n**Assistant:**\n\nTwo hours.\n"
    )
    assert (bread.title, bread.tags) == ("Bread", ["claude"])


async def test_a_long_conversation_is_several_entries_and_grows_at_its_end(
    foundation: Foundation, tmp_path: Path
) -> None:
    def export(*texts: str) -> Path:
        messages = [{"sender": "human", "text": text} for text in texts]
        return _write(tmp_path / "c.json", json.dumps([{**CLAUDE[0], "chat_messages": messages}]))

    first = await run_import(foundation, export("a" * 60_000, "b" * 150_000))
    second = await run_import(foundation, export("a" * 60_000, "b" * 150_000, "c"))

    entries = await list_entries(foundation)
    assert [first.imported, second.imported, second.unchanged] == [3, 1, 2]
    assert [entry.title for entry in entries] == ["Bread", "Bread (2)", "Bread (3)"]
    assert "".join(entry.content for entry in entries).count("b") == 150_000


async def test_what_was_changed_in_the_diary_since_is_not_overwritten(
    foundation: Foundation, tmp_path: Path
) -> None:
    path = _write(tmp_path / "c.json", json.dumps(CLAUDE))
    await run_import(foundation, path)
    key = f"claude/{CLAUDE[0]['uuid']}"
    await foundation.diary.entries.update(OWNER, key, 1, EntryChanges(content="by hand"))
    messages = [{"sender": "human", "text": "more"}]
    _write(path, json.dumps([{**CLAUDE[0], "chat_messages": messages}]))

    report = await run_import(foundation, path)

    assert (report.imported, len(report.rejected)) == (0, 1)
    assert report.rejected[0].path == f"{path}: Bread"
    assert "--force" in report.rejected[0].reason
    assert (await get_entry(foundation, key)).content == "by hand"


async def test_nothing_that_a_machine_wrote_is_in_the_context(
    foundation: Foundation, tmp_path: Path
) -> None:
    folder = write_everything(tmp_path)
    _write(folder / "basic" / "Choice.md", COFFEE.replace("type: note", "type: decision"))
    await run_import(foundation, folder, folder / ".claude" / "projects")

    context = await foundation.diary.reflection.recall(OWNER)

    named = [mention.title for mention in context.recent_notes]
    assert sorted(named) == [
        "Person",
        "See [[B|the other]] and ![[pic.png]]. #todo/later, not `#code` nor C#.",
    ]
    assert (context.recent_decisions, context.entries) == ((), 10)


async def test_what_cannot_be_read_is_named_and_keeps_nothing_else_back(
    foundation: Foundation, tmp_path: Path
) -> None:
    graph = _lines(tmp_path / "memory.jsonl", [GRAPH[0], {"type": "entity"}, {"x": 1}])
    cut = _write(tmp_path / "cut.json", json.dumps([*CHATGPT, *CHATGPT])[:-40])
    other = _write(tmp_path / "package.json", '{"name": "x"}')
    nameless = _write(tmp_path / "nameless.json", json.dumps([{**CLAUDE[0], "uuid": None}]))
    talk = _write(tmp_path / "talk.jsonl", '{"type":"summary","summary":"x","leafUuid":"y"}\n')

    report = await run_import(foundation, graph, cut, other, nameless, talk)

    assert report.imported == 2
    assert {Path(item.path).name for item in report.rejected} == {
        "memory.jsonl:2", "memory.jsonl:3", "cut.json", "cut.json: A trip", "package.json",
        "nameless.json: Bread", "talk.jsonl",
    }  # fmt: skip
