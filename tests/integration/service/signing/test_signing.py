"""Signing what is written, in the transaction that writes it."""

import contextlib
from pathlib import Path

import anyio
import pytest

from diary_mcp.app import Foundation, open_foundation
from diary_mcp.commands.keys import rotate
from diary_mcp.domain.chain import PublicKey
from diary_mcp.domain.entry import Entry, EntryChanges, EntryDraft
from diary_mcp.domain.errors import ConflictError, NotFoundError, SigningKeyError
from diary_mcp.domain.fields import AgentName, Grantee
from diary_mcp.files.bundle import BUNDLE_NAME, export_bundle
from diary_mcp.files.export_folder import export_entries
from diary_mcp.files.import_paths import import_paths
from diary_mcp.files.proof_check import check_files
from diary_mcp.keys.ed25519 import check_signature
from diary_mcp.keys.key_files import AgentKeys
from diary_mcp.service.chain.links import KeyChange
from diary_mcp.settings import Settings
from support.diary_files import contents, list_entries, write_files
from support.in_memory import settle_all
from support.independent_check import check_bundle
from support.signed_diaries import (
    ALICE,
    check_elsewhere,
    first_broken,
    run_sql,
    signed_diary,
    silent,
    statements,
    verify,
    write,
)

pytestmark = pytest.mark.anyio


@pytest.fixture
def keys(tmp_path: Path) -> AgentKeys:
    return AgentKeys(tmp_path / "data", ALICE)


async def is_sound(foundation: Foundation) -> bool:
    report = await verify(foundation)
    return first_broken(report) is None and all(entry.is_sound for entry in report.entries)


async def test_create_and_update_return_signed_entries(diary: Foundation) -> None:
    created = await write(diary, "one")
    updated = await diary.diary.entries.update(
        ALICE, str(created.id), 1, EntryChanges(content="two")
    )

    read = await diary.diary.entries.get(ALICE, str(created.id))
    assert (created.signature.state, updated.signature.state) == ("signed", "signed")
    assert read.signature == updated.signature != created.signature
    assert [each["act"] for each in await statements(diary)] == ["write", "write"]


async def test_a_deletion_is_signed_keeps_the_hash_and_nothing_to_guess_with(
    diary: Foundation, tmp_path: Path
) -> None:
    entry = await write(diary, "a secret")
    newer = await write(diary, "the correction", supersedes=str(entry.id))

    await diary.diary.entries.delete(ALICE, str(entry.id))

    written, _, deleted = await statements(diary)
    assert deleted["act"] == "delete"
    assert deleted["commitment"] == written["commitment"]
    salts = await run_sql(diary, f"select salt from diary.link where entry_id = '{entry.id}'")
    assert salts == [(None,), (None,)]
    assert await is_sound(diary), "the newer one superseded what is gone"
    assert (await diary.diary.entries.get(ALICE, str(newer.id))).signature.state == "signed"
    assert (await check_elsewhere(diary, tmp_path)).bad == set()


async def test_what_supersedes_several_is_signed_with_all_of_them_and_exported_as_such(
    diary: Foundation, tmp_path: Path
) -> None:
    one, two, three = [await write(diary, str(number)) for number in range(3)]
    newer = await write(diary, "newer", supersedes=[str(two.id), str(one.id)])
    await diary.diary.entries.update(
        ALICE, str(three.id), 1, EntryChanges(supersedes=[str(newer.id)])
    )

    *_, said, last = await statements(diary)

    assert (said["format"], last["format"]) == ("diary-mcp/link/2", "diary-mcp/link/1")
    assert str(said["supersedes"]).index(str(one.id)) < str(said["supersedes"]).index(str(two.id))
    assert str(newer.id) in str(last["supersedes"])
    assert (await diary.diary.entries.get(ALICE, str(newer.id))).signature.state == "signed"
    await diary.diary.entries.delete(ALICE, str(one.id))
    assert await is_sound(diary)
    assert (await check_elsewhere(diary, tmp_path)).bad == set()
    await run_sql(diary, f"update diary.entry set superseded_by = null where id = '{two.id}'")
    assert (await check_elsewhere(diary, tmp_path)).bad == {str(newer.id)}
    assert not await is_sound(diary)


async def test_nothing_is_signed_that_is_not_committed(diary: Foundation) -> None:
    await write(diary, "one", key="taken")

    with pytest.raises(ConflictError):
        await write(diary, "two", key="taken")

    assert len(await statements(diary)) == 1
    assert await is_sound(diary)


async def test_parallel_writes_of_several_processes_make_one_chain(
    diary: Foundation, database_url: str, tmp_path: Path
) -> None:
    async with signed_diary(database_url, tmp_path / "data") as other:
        first = await write(diary, "the one that everybody changes", key="first")
        with anyio.fail_after(60):
            async with anyio.create_task_group() as writers:
                for number in range(10):
                    writers.start_soon(write, diary, f"here {number}")
                    writers.start_soon(write, other, f"there {number}")
                    writers.start_soon(_change, other, str(first.id), number)
                    writers.start_soon(_delete_one, diary, number)

    assert await is_sound(diary)
    said = await statements(diary)
    assert [each["sequence"] for each in said] == list(range(1, len(said) + 1))
    assert sum(each["act"] == "delete" for each in said) == 10


async def _change(foundation: Foundation, entry_id: str, number: int) -> None:
    with contextlib.suppress(ConflictError):
        await foundation.diary.entries.update(
            ALICE, entry_id, 1, EntryChanges(content=f"changed {number}")
        )


async def _delete_one(foundation: Foundation, number: int) -> None:
    entry = await write(foundation, f"short-lived {number}")
    await foundation.diary.entries.delete(ALICE, str(entry.id))


async def test_an_old_diary_goes_on_and_says_what_is_not_signed(
    diary: Foundation, database_url: str, tmp_path: Path
) -> None:
    off = Settings(database_url=database_url, data_dir=tmp_path / "data", signing="off")
    async with open_foundation(off, with_keys=True) as before:
        old = await write(before, "from before")
    new = await write(diary, "from now on", supersedes=str(old.id))

    report = await verify(diary)
    (said,) = await statements(diary)

    assert (old.signature.state, new.signature.state) == ("none", "signed")
    assert (report.totals.checked, report.totals.signed) == (2, 1)
    assert first_broken(report) is None
    assert said["supersedes"] == {
        "content_hash": old.content_hash,
        "entry": str(old.id),
        "link": None,
    }
    await diary.diary.entries.update(ALICE, str(old.id), 1, EntryChanges(content="changed"))
    await diary.diary.entries.delete(ALICE, str(old.id))
    assert await is_sound(diary)


async def test_a_second_machine_signs_once_the_first_has_admitted_its_key(
    diary: Foundation, database_url: str, tmp_path: Path
) -> None:
    await write(diary, "by the first")
    async with signed_diary(database_url, tmp_path / "second") as second:
        early = await write(second, "by the second, too early")
        key = (await second.diary.signing.describe(ALICE)).key
        assert key is not None
        with pytest.raises(ConflictError, match="not admitted"):
            await second.diary.signing.sign_here(ALICE, [str(early.id)])

        await diary.diary.signing.change_keys(ALICE, [KeyChange("admit", key)])
        later = await write(second, "by the second")
        pending = await second.diary.signing.list_pending(ALICE)
        await second.diary.signing.sign_here(ALICE, list(map(str, pending)))

    assert (early.signature.state, later.signature.state) == ("pending", "signed")
    assert pending == [early.id]
    assert (await verify(diary)).totals.signed == 3
    assert await is_sound(diary)


async def test_a_deletion_without_a_key_waits_for_its_signature(
    diary: Foundation, database_url: str, tmp_path: Path
) -> None:
    entry = await write(diary)
    async with signed_diary(database_url, tmp_path / "second") as second:
        await second.diary.entries.delete(ALICE, str(entry.id))

    assert not await is_sound(diary)
    assert await diary.diary.signing.list_pending(ALICE) == []
    assert await diary.diary.signing.list_dropped(ALICE) == [entry.id]
    with pytest.raises(NotFoundError):
        await diary.diary.signing.sign_here(ALICE, [str(entry.id)])
    await diary.diary.signing.sign_deletions_here(ALICE, [str(entry.id)])
    assert await is_sound(diary)


async def test_a_rotated_key_leaves_old_signatures_valid_and_signs_nothing_new(
    diary: Foundation, keys: AgentKeys, tmp_path: Path
) -> None:
    old = await write(diary, "before")
    (tmp_path / "stolen").mkdir()
    (tmp_path / "stolen" / "old.pem").write_bytes(keys.present.path.read_bytes())

    await rotate(diary, keys)
    new = await write(diary, "after")

    assert new.signature.key == keys.present.load_or_create().public_key != old.signature.key
    assert keys.next.load() is None
    assert await is_sound(diary)
    first, second = await diary.diary.signing.list_keys(ALICE)
    assert (first.key, first.revoked, second.key) == (old.signature.key, 3, new.signature.key)
    (tmp_path / "stolen" / "old.pem").chmod(0o600)
    (tmp_path / "stolen" / "old.pem").replace(keys.present.path)
    assert (await write(diary, "by a thief")).signature.state == "pending"


async def test_a_rotation_that_was_interrupted_goes_on_signing_and_can_be_finished(
    diary: Foundation, keys: AgentKeys
) -> None:
    old = await write(diary, "before")
    following = keys.next.load_or_create().public_key
    await diary.diary.signing.change_keys(
        ALICE, [KeyChange("admit", following), KeyChange("revoke", _key(old.signature.key))]
    )

    between = await write(diary, "between")
    await rotate(diary, keys)
    after = await write(diary, "after")

    assert between.signature.key == after.signature.key == following
    assert await is_sound(diary)


async def test_a_revoked_key_is_not_admitted_again(diary: Foundation) -> None:
    key = _key((await write(diary)).signature.key)
    other = _key("ed25519:" + "A" * 43)

    await diary.diary.signing.change_keys(ALICE, [KeyChange("admit", other)])
    await diary.diary.signing.change_keys(ALICE, [KeyChange("revoke", other)])

    with pytest.raises(ConflictError, match="before"):
        await diary.diary.signing.change_keys(ALICE, [KeyChange("admit", other)])
    with pytest.raises(NotFoundError):
        await diary.diary.signing.change_keys(ALICE, [KeyChange("revoke", other)])
    await diary.diary.signing.change_keys(ALICE, [KeyChange("revoke", key)])
    assert (await write(diary)).signature.state == "pending"


async def test_an_entry_is_not_written_where_the_key_cannot_be_used(
    diary: Foundation, keys: AgentKeys
) -> None:
    await write(diary)
    keys.present.path.write_bytes(b"no key")

    with pytest.raises(SigningKeyError, match=str(keys.present.path)):
        await write(diary)

    assert (await verify(diary)).totals.checked == 1


async def test_what_waits_for_a_new_entry_is_signed_again_with_what_it_supersedes(
    diary: Foundation, tmp_path: Path
) -> None:
    files = write_files(tmp_path / "files", {"newer": "---\nsupersedes: older.md\n---\nnewer"})
    await _import(diary, files)
    await write(diary, "older", key="older")
    await _import(diary, write_files(tmp_path / "more", {"last": "---\nsupersedes: newer\n---\nx"}))

    newer = await diary.diary.entries.get(ALICE, "newer")

    assert newer.supersedes is not None
    assert newer.signature.state == "signed"
    assert await is_sound(diary)
    assert [each["act"] for each in await statements(diary)] == [
        "import", "write", "import", "import", "import",
    ]  # fmt: skip


async def test_an_import_signs_every_entry_as_imported(diary: Foundation, tmp_path: Path) -> None:
    files = write_files(
        tmp_path / "files", {f"note-{number}": f"{number}" for number in range(150)}
    )

    await _import(diary, files)

    report = await verify(diary)
    assert (report.totals.checked, report.totals.signed) == (150, 150)
    assert {each["act"] for each in await statements(diary)} == {"import"}


@pytest.mark.parametrize("file_format", ["markdown", "jsonl"])
async def test_an_export_imported_elsewhere_verifies_under_the_first_owners_key(
    diary: Foundation, database_url: str, tmp_path: Path, file_format: str
) -> None:
    entry = await write(
        diary, "# Ünï\r\n\ttext\u2028", key="one", tags=["a, b"], importance=1e-7, author="m"
    )
    await write(diary, "---\nno: front matter\n---\n", supersedes="one")
    bob = AgentName("bob")
    first, second = tmp_path / "first", tmp_path / "second"
    kind = "markdown" if file_format == "markdown" else "jsonl"
    await export_entries(first, owner=ALICE, store=diary.store, file_format=kind)
    async with signed_diary(database_url, tmp_path / "bob", bob) as other:
        await import_paths([first], owner=bob, store=other.store, signing=other.signing)
        await export_entries(second, owner=bob, store=other.store, file_format=kind)
        imported = await list_entries(other, bob)
        for each in imported:
            await other.diary.entries.update(bob, str(each.id), 1, EntryChanges(importance=0.75))
        third = tmp_path / "third"
        await export_entries(third, owner=bob, store=other.store, file_format=kind)
        own = (await other.diary.signing.describe(bob)).keys

    key = _key(entry.signature.key)
    for directory in (first, second):
        checked = check_files([directory], check_signature, [key])
        assert [(each.signer, each.problem) for each in checked] == [(f"alice {key}", None)] * 2
    checked = check_files([third], check_signature, own)
    assert [(each.signer, each.problem) for each in checked] == [(f"bob {own[0]}", None)] * 2
    if kind == "markdown":
        assert contents(first)["one.md"] == contents(second)["one.md"]


async def test_a_file_with_a_signature_that_was_changed_does_not_verify(
    diary: Foundation, tmp_path: Path
) -> None:
    await write(diary, "as it was", key="one")
    await export_entries(tmp_path / "out", owner=ALICE, store=diary.store)
    path = tmp_path / "out" / "one.md"
    path.write_text(path.read_text("utf-8").replace("as it was", "as it was not"), "utf-8")

    (checked,) = check_files([path], check_signature, [])

    assert checked.problem == "the entry is not what was signed"


async def test_an_unsigned_import_keeps_the_bytes_of_its_file(
    diary: Foundation, tmp_path: Path
) -> None:
    files = write_files(tmp_path / "files", {"2026-03-01-a": "---\nsignature: pending\n---\ntext"})
    await _import(diary, files)
    await export_entries(tmp_path / "out", owner=ALICE, store=diary.store)
    assert contents(tmp_path / "out") == contents(files)

    await diary.diary.entries.update(ALICE, "2026-03-01-a", 1, EntryChanges(content="other text"))
    report = await export_entries(files, owner=ALICE, store=diary.store)

    assert report.kept == []
    (checked,) = check_files([files], check_signature, [])
    assert (checked.signer is not None, checked.problem) == (True, None)


async def test_export_edit_import_export_and_verify_is_sound(
    diary: Foundation, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    created = await diary.diary.entries.create(ALICE, EntryDraft(content="one", key="a"))
    await diary.diary.entries.update(ALICE, "a", created.version, EntryChanges(content="two"))
    for edit in ("three", "four"):
        await export_entries(out, owner=ALICE, store=diary.store)
        text = (out / "a.md").read_text("utf-8")
        (out / "a.md").write_text(text.replace(text.rsplit("\n", 1)[-1], edit), "utf-8")
        await _import(diary, out)

    report = await export_entries(out, owner=ALICE, store=diary.store)

    (checked,) = check_files([out], check_signature, [])
    assert (report.kept, checked.problem, checked.signer is None) == ([], None, False)
    assert (await diary.diary.entries.get(ALICE, "a")).content == "four"


async def _import(foundation: Foundation, directory: Path) -> None:
    await import_paths([directory], owner=ALICE, store=foundation.store, signing=foundation.signing)


def _key(text: str | None) -> PublicKey:
    assert text is not None
    return PublicKey(text)


async def test_chains_of_corrections_across_owners_verify(
    diary: Foundation, database_url: str, tmp_path: Path
) -> None:
    bob = AgentName("bob")
    alices = diary.diary
    await alices.agents.register(bob)
    await alices.diaries.open(ALICE, "team")
    await alices.diaries.share(ALICE, "team", Grantee(bob), role="writer")
    await settle_all(diary)
    signed, other = [
        await write(diary, f"Alice's {each}.", diary="team", type="problem") for each in "ab"
    ]
    # As over HTTP, where the server has no keys.
    unsigned = await bare_write(database_url, "Alice's c.", "team")
    async with signed_diary(database_url, tmp_path / "bob", bob) as bobs:
        entries = bobs.diary.entries
        by_create = await entries.create(
            bob,
            EntryDraft(
                content="Solved.",
                type="progress",
                diary="alice/team",
                supersedes=[str(signed.id), str(unsigned.id)],
            ),
        )
        later = await entries.create(bob, EntryDraft(content="Solved too.", diary="alice/team"))
        await entries.update(bob, str(later.id), 1, EntryChanges(supersedes=[str(other.id)]))

        for entry in (by_create, later):
            read = await entries.get(bob, str(entry.id))
            assert read.signature.state == "signed"
            assert len(read.supersedes) in {1, 2}
        assert await bobs_are_sound(bobs, tmp_path / "before")
        assert await is_sound(diary)
        for entry in (signed, other, unsigned):
            await alices.entries.delete(ALICE, str(entry.id))
        assert await bobs_are_sound(bobs, tmp_path / "after"), "what they corrected is gone"


async def bare_write(database_url: str, content: str, name: str) -> Entry:
    async with open_foundation(Settings(database_url=database_url)) as without_keys:
        return await without_keys.diary.entries.create(
            ALICE, EntryDraft(content=content, diary=name)
        )


async def bobs_are_sound(bobs: Foundation, directory: Path) -> bool:
    report = await bobs.diary.verification.verify_all(AgentName("bob"), silent)
    await export_bundle(directory, owner=AgentName("bob"), store=bobs.store)
    found = check_bundle((directory / BUNDLE_NAME).read_text("utf-8"))
    assert (found.broken, found.bad, found.unsigned) == ([], set(), set())
    assert report.chain is not None
    return report.chain.broken is None and not report.totals.invalid_signatures
