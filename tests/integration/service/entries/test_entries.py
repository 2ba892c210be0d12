"""Writing, reading, correcting and deleting entries, on PostgreSQL."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from diary_mcp.app import Foundation
from diary_mcp.domain.entry import CreatedEntry, EntryChanges, EntryDraft
from diary_mcp.domain.errors import ConflictError, NotFoundError
from diary_mcp.domain.fields import AgentName
from diary_mcp.files.import_paths import import_paths

pytestmark = pytest.mark.anyio

ALICE = AgentName("alice")
BOB = AgentName("bob")


async def test_a_created_entry_reads_back_exactly(foundation: Foundation) -> None:
    entries = foundation.diary.entries
    draft = EntryDraft(
        content="# Ünïcode\r\n\ttab 🦊\n",
        title="Title",
        type="decision",
        tags=["b", "a", "b"],
        importance=0.25,
        author="model-1",
        session="s-1",
        key="my-key",
    )

    created = await entries.create(ALICE, draft)
    read = await entries.get(ALICE, str(created.id))

    assert created == CreatedEntry(**dict(read), similar=())
    assert read.content == draft.content
    assert read.tags == ("b", "a")
    assert await entries.get(ALICE, "my-key") == read


async def test_an_entry_of_somebody_else_is_answered_as_if_it_were_not_there(
    foundation: Foundation,
) -> None:
    entries = foundation.diary.entries
    created = await entries.create(ALICE, EntryDraft(content="mine", key="k"))

    with pytest.raises(NotFoundError) as hidden:
        await entries.get(BOB, str(created.id))
    with pytest.raises(NotFoundError) as absent:
        await entries.get(BOB, "01a209f7-3236-76fc-9537-63feee86b6c8")

    assert str(hidden.value).replace(str(created.id), "X") == str(absent.value).replace(
        "01a209f7-3236-76fc-9537-63feee86b6c8", "X"
    )


async def test_an_update_at_an_outdated_version_is_a_conflict(foundation: Foundation) -> None:
    entries = foundation.diary.entries
    created = await entries.create(ALICE, EntryDraft(content="one"))
    await entries.update(ALICE, str(created.id), 1, EntryChanges(content="two"))

    with pytest.raises(ConflictError):
        await entries.update(ALICE, str(created.id), 1, EntryChanges(content="three"))

    assert (await entries.get(ALICE, str(created.id))).content == "two"


async def test_an_entry_that_waits_for_a_key_does_not_close_a_circle(
    foundation: Foundation, tmp_path: Path
) -> None:
    (tmp_path / "w.md").write_text("---\nsupersedes: n\n---\nwaits\n", encoding="utf-8")
    await import_paths([tmp_path], owner=ALICE, store=foundation.store)

    created = await foundation.diary.entries.create(
        ALICE, EntryDraft(content="new", key="n", supersedes="w")
    )

    waiting = await foundation.diary.entries.get(ALICE, "w")
    assert (waiting.supersedes, waiting.superseded_by) == (None, created.id)
    assert created.superseded_by is None


@pytest.mark.parametrize("text", ["a\0b", "a\ud800b"], ids=["NUL", "lone surrogate"])
@pytest.mark.parametrize("name", ["content", "title", "author", "session", "key"])
def test_what_no_database_can_hold_is_refused(name: str, text: str) -> None:
    with pytest.raises(ValidationError):
        EntryDraft.model_validate({"content": "fine", name: text})
