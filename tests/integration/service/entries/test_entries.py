"""Writing, reading, correcting and deleting entries, on PostgreSQL."""

from pathlib import Path
from unicodedata import normalize

import pytest
from pydantic import ValidationError

from diary_mcp.app import Foundation
from diary_mcp.domain.entry import CreatedEntry, EntryChanges, EntryDraft
from diary_mcp.domain.errors import ConflictError, InvalidArgumentError, NotFoundError
from diary_mcp.domain.fields import AgentName, Grantee
from diary_mcp.files.import_paths import import_paths
from diary_mcp.service.sharing.settlement import settle
from support.diary_files import query

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
        ALICE, EntryDraft(content="new", key="n", supersedes=["w"])
    )

    waiting = await foundation.diary.entries.get(ALICE, "w")
    assert (waiting.supersedes, waiting.superseded_by) == ((), created.id)
    assert created.superseded_by is None


@pytest.mark.parametrize("text", ["a\0b", "a\ud800b"], ids=["NUL", "lone surrogate"])
@pytest.mark.parametrize("name", ["content", "title", "author", "session", "key"])
def test_what_no_database_can_hold_is_refused(name: str, text: str) -> None:
    with pytest.raises(ValidationError):
        EntryDraft.model_validate({"content": "fine", name: text})


async def test_one_entry_supersedes_several_by_id_or_key_each_once(foundation: Foundation) -> None:
    entries = foundation.diary.entries
    one, two = [
        await entries.create(ALICE, EntryDraft(content=key, key=key)) for key in ("one", "two")
    ]
    three = await entries.create(ALICE, EntryDraft(content="three"))

    newer = await entries.create(
        ALICE, EntryDraft(content="newer", supersedes=["two", str(one.id), "one", str(three.id)])
    )

    assert newer.supersedes == (one.id, two.id, three.id)
    assert (await entries.get(ALICE, str(newer.id))).supersedes == newer.supersedes
    assert (await entries.get(ALICE, "two")).superseded_by == newer.id
    with pytest.raises(ConflictError, match=f"Entry {two.id} is already superseded"):
        await entries.create(ALICE, EntryDraft(content="later", key="later", supersedes=["two"]))
    with pytest.raises(NotFoundError):
        await entries.get(ALICE, "later")
    await entries.delete(ALICE, "two")
    assert (await entries.get(ALICE, str(newer.id))).supersedes == (one.id, three.id)


async def test_an_update_sets_what_an_entry_supersedes_once(foundation: Foundation) -> None:
    entries = foundation.diary.entries
    for key in ("one", "two", "fix", "last"):
        await entries.create(ALICE, EntryDraft(content=key, key=key))
    await entries.create(BOB, EntryDraft(content="bob's", key="bobs"))

    fixed = await entries.update(ALICE, "fix", 1, EntryChanges(supersedes=["one", "two"]))

    assert fixed == (await entries.get(ALICE, "fix"))
    assert [(await entries.get(ALICE, key)).superseded_by for key in ("one", "two")] == [
        fixed.id,
        fixed.id,
    ]
    for reference, key, error in (
        ("last", "fix", ConflictError),
        ("fix", "one", ConflictError),
        ("two", "last", ConflictError),
        ("last", "last", InvalidArgumentError),
        ("bobs", "last", NotFoundError),
        ("nothing", "last", NotFoundError),
    ):
        version = (await entries.get(ALICE, key)).version
        with pytest.raises(error):
            await entries.update(ALICE, key, version, EntryChanges(supersedes=[reference]))
        assert (await entries.get(ALICE, key)).version == version


@pytest.mark.parametrize(
    "changes",
    [
        EntryChanges(content="one"),
        EntryChanges(title="T", type="note", tags=["a"], importance=0.5, diary="main"),
        EntryChanges(supersedes=["older"], title="T"),
    ],
    ids=["content", "everything else", "what it supersedes"],
)
async def test_an_update_that_changes_nothing_makes_no_version(
    foundation: Foundation, changes: EntryChanges
) -> None:
    entries = foundation.diary.entries
    await entries.create(ALICE, EntryDraft(content="older", key="older"))
    draft = EntryDraft(content="one", key="one", title="T", tags=["a"], supersedes=["older"])
    await entries.create(ALICE, draft)
    before = await entries.get(ALICE, "one")

    updated = await entries.update(ALICE, "one", 1, changes)

    assert updated == before == await entries.get(ALICE, "one")
    with pytest.raises(ConflictError, match="is at version 1, not 2"):
        await entries.update(ALICE, "one", 2, changes)


async def test_an_empty_list_of_what_is_superseded_is_nothing_to_change(
    foundation: Foundation,
) -> None:
    entries = foundation.diary.entries
    await entries.create(ALICE, EntryDraft(content="one", key="one"))

    with pytest.raises(InvalidArgumentError, match="Nothing to change"):
        await entries.update(ALICE, "one", 1, EntryChanges(supersedes=[]))


async def test_what_the_release_before_writes_counts_and_it_sees_what_is_written(
    foundation: Foundation,
) -> None:
    entries = foundation.diary.entries
    for key in ("one", "two", "three", "theirs"):
        await entries.create(ALICE, EntryDraft(content=key, key=key))
    ids = {key: (await entries.get(ALICE, key)).id for key in ("one", "two", "three", "theirs")}

    await query(
        foundation,
        f"update diary.entry set supersedes = '{ids['one']}' where id = '{ids['theirs']}'",
    )
    ours = await entries.create(ALICE, EntryDraft(content="ours", supersedes=["two", "three"]))

    assert (await entries.get(ALICE, "one")).superseded_by == ids["theirs"]
    assert (await entries.get(ALICE, "theirs")).supersedes == (ids["one"],)
    seen = await query(foundation, f"select supersedes from diary.entry where id = '{ours.id}'")
    assert seen[0][0] in {ids["two"], ids["three"]}
    await query(
        foundation, f"update diary.entry set supersedes = null where id = '{ids['theirs']}'"
    )
    assert (await entries.get(ALICE, "one")).superseded_by is None


async def test_a_repeated_call_is_known_by_the_one_entry_that_it_supersedes(
    foundation: Foundation,
) -> None:
    entries = foundation.diary.entries
    await entries.create(ALICE, EntryDraft(content="old", key="old"))
    draft = EntryDraft(content="new", supersedes=["old"])

    first = await entries.create(ALICE, draft, idempotency_key="call")
    again = await entries.create(ALICE, draft, idempotency_key="call")

    assert again.id == first.id


async def test_a_key_is_the_same_however_its_letters_are_composed(foundation: Foundation) -> None:
    entries = foundation.diary.entries
    composed = "café-réunion"
    apart = normalize("NFD", composed)

    created = await entries.create(ALICE, EntryDraft(content="x", key=apart))

    assert created.key == composed
    assert (await entries.get(ALICE, apart)).id == (await entries.get(ALICE, composed)).id
    with pytest.raises(ConflictError):
        await entries.create(ALICE, EntryDraft(content="y", key=composed))
    newer = await entries.create(ALICE, EntryDraft(content="z", supersedes=[apart]))
    assert newer.supersedes == (created.id,)
    await query(
        foundation, f"update diary.entry set key = normalize(key, NFD) where id = '{created.id}'"
    )
    assert (await entries.get(ALICE, composed)).id == created.id


async def test_a_viewer_learns_of_no_correction_before_the_backend_lets_it_read_that_one(
    foundation: Foundation,
) -> None:
    entries, sharing = foundation.diary.entries, foundation.diary.sharing
    await foundation.diary.agents.register(BOB)
    old = await entries.create(ALICE, EntryDraft(content="old"))
    new = await entries.create(ALICE, EntryDraft(content="new", supersedes=[str(old.id)]))
    for entry in (old, new):
        await sharing.share(ALICE, str(entry.id), Grantee("bob"))
    await settle([old.id], foundation.settlements, foundation.permissions)

    with pytest.raises(NotFoundError):
        await entries.get(BOB, str(new.id))
    before = await entries.get(BOB, str(old.id))
    await settle([new.id], foundation.settlements, foundation.permissions)
    after = await entries.get(BOB, str(old.id))

    assert (before.superseded_by, after.superseded_by) == (None, new.id)
    assert (await entries.get(BOB, str(new.id))).supersedes == (old.id,)
