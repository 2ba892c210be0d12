"""Secrets at the door: every way in which a text is written."""

import json
from pathlib import Path

import pytest

from diary_mcp.app import Foundation, open_foundation
from diary_mcp.domain.credentials import CREDENTIAL_TAG, CredentialDoor
from diary_mcp.domain.entry import EntryChanges, EntryDraft
from diary_mcp.domain.errors import InvalidArgumentError
from diary_mcp.domain.fields import MAX_TAGS, AgentName, Grantee
from diary_mcp.files.import_paths import import_paths
from diary_mcp.settings import Settings
from support.diary_files import list_entries

pytestmark = pytest.mark.anyio

ALICE = AgentName("alice")
SECRET = "ghp_" + "aB3dE5gH7jK9mN1pQ4sT6vW8yZ0cF2abcdef"
DRAFTS = {
    "content": EntryDraft(content=f"one\ntwo {SECRET}"),
    "title": EntryDraft(content="x", title=f"see {SECRET}"),
    "tags": EntryDraft(content="x", tags=["a", SECRET]),
    "author": EntryDraft(content="x", author=SECRET),
    "session": EntryDraft(content="x", session=SECRET),
    "key": EntryDraft(content="x", key=SECRET),
}


@pytest.mark.parametrize("field", DRAFTS)
async def test_a_credential_is_refused_with_its_place_and_is_not_repeated(
    foundation: Foundation, field: str
) -> None:
    with pytest.raises(InvalidArgumentError) as refused:
        await foundation.diary.entries.create(ALICE, DRAFTS[field])

    assert str(refused.value).startswith(f"{field} holds")
    assert "GitHub token" in str(refused.value)
    assert SECRET not in str(refused.value)
    assert await list_entries(foundation, ALICE) == []


async def test_what_is_let_through_is_tagged_and_may_stay(foundation: Foundation) -> None:
    entries = foundation.diary.entries
    created = await entries.create(ALICE, DRAFTS["content"], allow_secret=True)
    revised = await entries.update(
        ALICE, str(created.id), 1, EntryChanges(content=f"three {SECRET}", tags=["b"])
    )
    plain = await entries.create(ALICE, EntryDraft(content="no secret"), allow_secret=True)

    assert created.tags == (CREDENTIAL_TAG,)
    assert revised.tags == ("b", CREDENTIAL_TAG)
    assert plain.tags == ()


async def test_a_new_version_a_note_and_an_idempotency_key_are_looked_at_too(
    foundation: Foundation,
) -> None:
    entries = foundation.diary.entries
    created = await entries.create(ALICE, EntryDraft(content="one"))

    with pytest.raises(InvalidArgumentError, match="title holds"):
        await entries.update(ALICE, str(created.id), 1, EntryChanges(title=SECRET))
    with pytest.raises(InvalidArgumentError, match="note holds"):
        await foundation.diary.sharing.share(ALICE, str(created.id), Grantee("bob"), note=SECRET)
    with pytest.raises(InvalidArgumentError, match="idempotency_key holds"):
        await entries.create(ALICE, EntryDraft(content="two"), idempotency_key=SECRET)


async def test_where_no_tag_has_room_it_is_refused(foundation: Foundation) -> None:
    draft = EntryDraft(content=SECRET, tags=[str(number) for number in range(MAX_TAGS)])

    with pytest.raises(InvalidArgumentError, match=CREDENTIAL_TAG):
        await foundation.diary.entries.create(ALICE, draft, allow_secret=True)


async def test_the_setting_lets_everything_through(database_url: str) -> None:
    settings = Settings(database_url=database_url, secrets="allow")
    async with open_foundation(settings) as foundation:
        created = await foundation.diary.entries.create(ALICE, DRAFTS["title"])

    assert created.tags == (CREDENTIAL_TAG,)


async def test_an_import_rejects_such_a_file_by_name_unless_it_is_told_otherwise(
    foundation: Foundation, tmp_path: Path
) -> None:
    (tmp_path / "leak.md").write_text(f"---\ntags: [a]\n---\n# Title\n\n{SECRET}\n")
    (tmp_path / "matter.md").write_text(f"---\nx-token: {SECRET}\n---\ntext\n")
    (tmp_path / "lines.jsonl").write_text(json.dumps({"content": SECRET, "key": "line"}) + "\n")
    (tmp_path / "fine.md").write_text("text\n")

    first = await import_paths([tmp_path], owner=ALICE, store=foundation.store)
    imported_first = [entry.key for entry in await list_entries(foundation, ALICE)]
    second = await import_paths(
        [tmp_path], owner=ALICE, store=foundation.store, door=CredentialDoor(is_open=True)
    )
    third = await import_paths(
        [tmp_path], owner=ALICE, store=foundation.store, door=CredentialDoor(is_open=True)
    )

    assert {Path(rejection.path).name for rejection in first.rejected} == {
        "leak.md",
        "lines.jsonl:1",
        "matter.md",
    }
    assert all("--allow-secrets" in rejection.reason for rejection in first.rejected)
    assert not any(SECRET in rejection.reason for rejection in first.rejected)
    assert imported_first == ["fine"]
    assert (second.imported, second.unchanged, second.rejected) == (3, 1, [])
    assert (third.imported, third.unchanged) == (0, 4)
    tags = {entry.key: tuple(entry.tags) for entry in await list_entries(foundation, ALICE)}
    assert tags == {
        "fine": (),
        "leak": ("a", CREDENTIAL_TAG),
        "line": (CREDENTIAL_TAG,),
        "matter": (CREDENTIAL_TAG,),
    }
