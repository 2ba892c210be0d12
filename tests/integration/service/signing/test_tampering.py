"""What an operator with full access to the database can do, and how it shows.

docs/signing.md has the table. Each is looked for by our check, by the other implementation on a
bundle, and must show in both.
"""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from diary_mcp.app import Foundation
from diary_mcp.domain.chain import PublicKey
from diary_mcp.domain.entry import EntryChanges
from diary_mcp.domain.fields import AgentName
from diary_mcp.domain.verification import VerificationReport
from diary_mcp.domain.version import content_hash
from diary_mcp.keys.ed25519 import check_signature
from diary_mcp.keys.key_files import AgentKeys, LocalSigner
from diary_mcp.service.chain.links import ChainSigning
from diary_mcp.service.signing.signatures import SigningService
from support.saved_states import restore_state, save_state
from support.signed_diaries import (
    ALICE,
    check_elsewhere,
    first_broken,
    head_of,
    run_sql,
    signed_diary,
    silent,
    take_over,
    verify,
    write,
)

pytestmark = pytest.mark.anyio


@pytest.fixture
async def diary(database_url: str, tmp_path: Path) -> AsyncGenerator[Foundation]:
    """Five links: four entries, one of them updated, one that supersedes another."""
    async with signed_diary(database_url, tmp_path / "data") as foundation:
        first = await write(foundation, "first", key="first", tags=["a"], title="First")
        await write(foundation, "second", key="second", supersedes="first")
        await write(foundation, "third", key="third")
        await foundation.diary.entries.update(
            ALICE, str(first.id), 1, EntryChanges(content="first, again")
        )
        await write(foundation, "fourth", key="fourth")
        yield foundation


async def test_an_untouched_diary_is_sound(diary: Foundation, tmp_path: Path) -> None:
    report = await verify(diary)
    elsewhere = await check_elsewhere(diary, tmp_path)

    assert (report.totals.checked, report.totals.signed) == (4, 4)
    assert all(entry.is_sound for entry in report.entries)
    assert first_broken(report) is None
    assert (elsewhere.bad, elsewhere.unsigned, elsewhere.first_broken) == (set(), set(), None)


FIELDS = {
    "content": "content = 'forged'",
    "title": "title = 'forged'",
    "tags": "tags = array['forged']",
    "type": "type = 'decision'",
    "importance": "importance = 0.75",
    "author": "author = 'forged'",
    "session": "session = 'forged'",
    "date": "date = date - interval '1 year'",
    "created_at": "created_at = created_at - interval '1 year'",
    "updated_at": "updated_at = updated_at - interval '1 microsecond'",
    "key": "key = 'forged'",
    "supersedes": "supersedes = (select id from diary.entry where key = 'second')",
    "an older version put back": "version = 1, content = 'first'",
}


async def test_a_changed_field_shows_also_with_a_new_hash(
    diary: Foundation, tmp_path: Path, subtests: pytest.Subtests
) -> None:
    save_state(diary.database_url, "untouched")
    for change, sets in FIELDS.items():
        await run_sql(diary, f"update diary.entry set {sets} where key = 'first'")
        plain = await verify(diary)
        await _hash_anew(diary)
        covered = await verify(diary)
        alone = await diary.diary.verification.verify(ALICE, str(covered.entries[0].entry_id))
        elsewhere = await check_elsewhere(diary, tmp_path)
        restore_state(diary.database_url, "untouched")

        with subtests.test(change):
            assert _invalid(plain) == _invalid(covered)
            assert len(_invalid(covered)) == 1
            assert covered.totals.hash_mismatches == 0
            assert elsewhere.bad == set(_invalid(covered))
            assert [(each.entry_id, each.hash_matches, each.problem) for each in alone.entries] == [
                (each.entry_id, each.hash_matches, each.problem) for each in covered.entries[:1]
            ]


async def test_a_version_that_is_raised_with_it_is_not_signed_any_more(
    diary: Foundation, tmp_path: Path
) -> None:
    kept = (
        "entry_id, version, type, title, content, tags, importance, content_hash, updated_at, "
        "author, session, date"
    )
    await run_sql(
        diary,
        f"insert into diary.entry_version ({kept}) select {kept.replace('entry_id', 'id')} "
        "from diary.entry where key = 'third'",
    )
    await run_sql(
        diary, "update diary.entry set content = 'forged', version = 2 where key = 'third'"
    )
    await _hash_anew(diary)

    report = await verify(diary)
    entry = await diary.diary.entries.get(ALICE, "third")
    (alone,) = (await diary.diary.verification.verify(ALICE, "third")).entries

    assert report.totals.checked - report.totals.signed == 1
    assert not alone.is_signed
    assert entry.signature.state == "pending"
    assert (await check_elsewhere(diary, tmp_path)).unsigned == {str(entry.id)}


async def test_a_change_of_the_history_shows(diary: Foundation, tmp_path: Path) -> None:
    await run_sql(diary, "update diary.entry_version set content = 'forged'")

    assert [entry.problem for entry in (await verify(diary)).entries if not entry.is_sound] == [
        "its version 1 in the history is not what was signed"
    ]
    assert len((await check_elsewhere(diary, tmp_path)).bad) == 1


async def test_another_owner_shows_in_both_diaries(diary: Foundation) -> None:
    await run_sql(diary, "insert into diary.agent (name) values ('mallory')")
    await run_sql(diary, "update diary.entry set owner = 'mallory' where key = 'third'")

    report = await verify(diary)
    other = await diary.diary.verification.verify_all(AgentName("mallory"), silent)

    assert [entry.problem for entry in report.entries if not entry.is_sound] == [
        "dropped: it is gone, and no deletion is signed"
    ]
    assert [(entry.hash_matches, entry.signature_valid) for entry in other.entries] == [
        (False, None)
    ]


async def test_a_deleted_entry_was_dropped(diary: Foundation, tmp_path: Path) -> None:
    (row,) = await run_sql(diary, "select id from diary.entry where key = 'fourth'")
    await run_sql(diary, "delete from diary.entry where key = 'fourth'")

    report = await verify(diary)

    assert [str(entry.entry_id) for entry in report.entries if not entry.is_sound] == [str(row[0])]
    assert (await check_elsewhere(diary, tmp_path)).bad == {str(row[0])}


async def test_an_inserted_entry_is_not_signed(diary: Foundation, tmp_path: Path) -> None:
    await _insert_forged(diary)

    report = await verify(diary)

    assert (report.totals.checked, report.totals.signed) == (5, 4)
    (forged,) = (await check_elsewhere(diary, tmp_path)).unsigned
    (alone,) = (await diary.diary.verification.verify(ALICE, forged)).entries
    assert not alone.is_signed


LINKS = {
    "a link is dropped": ("delete from diary.link where sequence = 2", 2),
    "the first link is dropped": ("delete from diary.link where sequence = 1", 1),
    "a link is copied to the end": (
        (
            "insert into diary.link select owner, 6, hash, statement, signature, act, entry_id, "
            "version, supersedes, salt from diary.link where sequence = 3"
        ),
        6,
    ),
    "two links are swapped": (
        (
            "update diary.link set sequence = case sequence when 2 then -3 else -2 end "
            "where sequence in (2, 3); update diary.link set sequence = -sequence "
            "where sequence < 0"
        ),
        2,
    ),
    "a link is back-dated": (
        (
            'update diary.link set statement = replace(statement, \'"time":"20\', \'"time":"19\') '
            "where sequence = 4"
        ),
        4,
    ),
    "a link names another entry": (
        (
            "update diary.link set statement = replace(statement, entry_id::text, "
            "'01a209f7-3236-76fc-9537-63feee86b6c8') where sequence = 3"
        ),
        3,
    ),
    "a signature is replaced": (
        (
            "update diary.link set signature = (select signature from diary.link "
            "where sequence = 1) where sequence = 5"
        ),
        5,
    ),
    "a statement is spaced out": (
        "update diary.link set statement = replace(statement, ',', ', ') where sequence = 2",
        2,
    ),
    "a link is kept under another number": (
        "update diary.link set sequence = 50 where sequence = 5",
        5,
    ),
    "the tail is cut off, the head left": ("delete from diary.link where sequence = 5", 5),
}


async def test_a_broken_chain_names_the_first_broken_link_and_no_entry_in_it_is_valid_by_itself(
    diary: Foundation, subtests: pytest.Subtests
) -> None:
    save_state(diary.database_url, "untouched")
    entry = str((await diary.diary.entries.get(ALICE, "fourth")).id)
    for change, (statement, at) in LINKS.items():
        sound = await diary.diary.verification.verify(ALICE, entry)
        for each in statement.split("; "):
            await run_sql(diary, each)
        whole, alone = await verify(diary), await diary.diary.verification.verify(ALICE, entry)
        restore_state(diary.database_url, "untouched")

        with subtests.test(change):
            assert [each.is_sound for each in sound.entries] == [True]
            assert first_broken(whole) == at
            # The signature of a link about another entry, and a link that is gone with the only
            # word of this one, say nothing of it.
            assert change == "the tail is cut off, the head left" or not alone.entries[0].is_sound
            # Where only a signature was to be checked that is another entry's, the next link tells.
            assert first_broken(alone) in {at, at + 1}


async def test_an_inserted_entry_with_a_link_breaks_the_chain(
    diary: Foundation, database_url: str, tmp_path: Path
) -> None:
    keys = AgentKeys(tmp_path / "operator", ALICE)
    stranger = keys.present.load_or_create().public_key
    await run_sql(diary, f"update diary.chain_head set valid_keys = array['{stranger}']")
    async with signed_diary(database_url, tmp_path / "elsewhere") as elsewhere:
        forged = await write(elsewhere, "forged")
    # Of what the database says of its keys a signer with a memory believes nothing.
    signing = SigningService(diary.store, ChainSigning(LocalSigner(keys)), check_signature)
    await signing.sign_here(ALICE, [str(forged.id)])

    report = await verify(diary)

    assert first_broken(report) == 6
    assert [entry.entry_id for entry in report.entries if not entry.is_sound] == [forged.id]
    assert (await check_elsewhere(diary, tmp_path)).first_broken == 6


async def test_a_key_that_nobody_admitted_is_a_takeover(
    diary: Foundation, database_url: str, tmp_path: Path
) -> None:
    async with signed_diary(database_url, tmp_path / "operator") as operator:
        own = await take_over(operator)
        await write(operator, "written after the takeover")

    report = await verify(diary)
    trusting = await verify(diary, trusted=(own,))

    assert report.chain is not None
    assert (report.chain.broken or "").startswith("link 6: takeover")
    assert first_broken(trusting) is None
    assert (await check_elsewhere(diary, tmp_path)).first_broken == 6


async def test_a_forgery_by_a_taken_over_key_is_not_valid_by_itself_either(
    diary: Foundation, database_url: str, tmp_path: Path
) -> None:
    async with signed_diary(database_url, tmp_path / "operator") as operator:
        await take_over(operator)
        forged = await operator.diary.entries.update(
            ALICE, "third", 1, EntryChanges(content="forged")
        )

    report = await diary.diary.verification.verify(ALICE, str(forged.id))

    assert [entry.signature_valid for entry in report.entries] == [False]
    assert first_broken(report) == 6
    assert str(forged.id) in (await check_elsewhere(diary, tmp_path)).bad


CUT = (
    "delete from diary.entry where key = 'fourth'",
    "delete from diary.link where sequence = 5",
    (
        "update diary.chain_head set sequence = 4, hash = (select hash from diary.link "
        "where sequence = 4)"
    ),
)


async def test_a_cut_tail_or_an_older_backup_shows_to_whoever_remembers_the_head(
    diary: Foundation, database_url: str, tmp_path: Path
) -> None:
    remembered = await head_of(diary)
    for statement in CUT:
        await run_sql(diary, statement)

    async with signed_diary(database_url, tmp_path / "elsewhere") as elsewhere:
        unaware = await verify(elsewhere)
    aware = await verify(diary)

    assert first_broken(unaware) is None, "nothing in the database can tell"
    assert first_broken(aware) == 5
    assert (await check_elsewhere(diary, tmp_path, remembered)).first_broken == 5


async def test_another_chain_shows_to_whoever_remembers_a_key_or_a_head(
    diary: Foundation, database_url: str, tmp_path: Path
) -> None:
    remembered = await head_of(diary)
    key = PublicKey(str((await diary.diary.signing.describe(ALICE)).key))
    for table in ("link", "chain_head", "entry"):
        await run_sql(diary, f"truncate diary.{table} cascade")
    async with signed_diary(database_url, tmp_path / "operator") as operator:
        for number in range(6):
            await write(operator, f"forged {number}")
        assert first_broken(await verify(operator)) is None, "nothing in the database can tell"
        assert first_broken(await verify(operator, remembered)) == 5
        assert first_broken(await verify(operator, trusted=(key,))) == 1

    assert first_broken(await verify(diary)) == 5


def _invalid(report: VerificationReport) -> list[str]:
    """Entries whose signature is not valid."""
    return [str(entry.entry_id) for entry in report.entries if entry.signature_valid is False]


async def _insert_forged(diary: Foundation) -> None:
    await run_sql(
        diary,
        "insert into diary.entry (id, key, owner, author, type, content, tags, importance, "
        "version, date, created_at, updated_at, content_hash, wants_signature) select "
        "gen_random_uuid(), 'forged', owner, author, type, content, tags, importance, version, "
        "date, created_at, updated_at, content_hash, true from diary.entry where key = 'third'",
    )
    await run_sql(
        diary,
        "insert into diary.entry_permission (entry_id, owner) select id, owner from diary.entry "
        "where key = 'forged'",
    )
    await _hash_anew(diary)


async def _hash_anew(diary: Foundation) -> None:
    """An operator can compute every hash that needs no key."""
    async with diary.store.reading() as rows:
        stored = await rows.archive.list_stored(ALICE, None, 100)
    for entry in stored:
        computed = content_hash(entry)
        await run_sql(
            diary, f"update diary.entry set content_hash = '{computed}' where id = '{entry.id}'"
        )


async def test_what_signed_an_entry_is_told_from_the_link_and_not_from_what_stands_beside_it(
    diary: Foundation,
) -> None:
    (before,) = (await diary.diary.verification.verify(ALICE, "fourth")).entries

    await run_sql(diary, "update diary.link set hash = 'sha256:' || repeat('0', 64)")
    (after,) = (await diary.diary.verification.verify(ALICE, "fourth")).entries

    assert before.signature_valid
    assert before.link is not None
    assert after == before


async def test_what_is_superseded_is_known_by_what_its_link_says(
    diary: Foundation, tmp_path: Path
) -> None:
    await run_sql(diary, "update diary.link set hash = 'sha256:' || repeat('0', 64)")

    await write(diary, "fifth", supersedes="fourth")

    assert first_broken(await verify(diary)) is None
    assert (await check_elsewhere(diary, tmp_path)).first_broken is None


async def test_a_content_hash_in_the_history_is_checked(diary: Foundation, tmp_path: Path) -> None:
    await run_sql(diary, "update diary.entry_version set content_hash = 'sha256:00'")
    entry = await diary.diary.entries.get(ALICE, "first")

    report = await verify(diary)
    elsewhere = await check_elsewhere(diary, tmp_path)

    assert [each.problem for each in report.entries] == [
        "the content hash of its version 1 is not right"
    ]
    assert elsewhere.bad == {str(entry.id)}
