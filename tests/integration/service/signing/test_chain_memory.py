"""A signer that remembers how far its chain went, and a database that says otherwise."""

import json
from collections.abc import AsyncGenerator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import structlog

from diary_mcp.app import Foundation
from diary_mcp.domain.chain import PublicKey
from diary_mcp.domain.errors import ConflictError, SigningKeyError
from diary_mcp.keys.chain_memory import ChainMemoryFile
from diary_mcp.keys.ed25519 import check_signature
from diary_mcp.service.chain.continuity import ChainReplacedError, Continuity
from diary_mcp.service.chain.links import KeyChange
from diary_mcp.service.ports.chain import Head
from support.saved_states import restore_state, save_state
from support.signed_diaries import (
    ALICE,
    first_broken,
    run_sql,
    signed_diary,
    statements,
    take_over,
    verify,
    write,
)

pytestmark = pytest.mark.anyio

OTHER = PublicKey("ed25519:" + "A" * 43)


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
async def diary(database_url: str, data_dir: Path) -> AsyncGenerator[Foundation]:
    """Three links."""
    async with signed_diary(database_url, data_dir) as foundation:
        for number in range(3):
            await write(foundation, f"number {number}", key=f"key-{number}")
        yield foundation


SHORTER = {
    "a chain begun anew": (
        "truncate diary.link",
        (
            "update diary.chain_head set sequence = 0, hash = null, signed_at = null, "
            "valid_keys = '{}', known_keys = '{}'"
        ),
    ),
    "its last link cut off": (
        "delete from diary.link where sequence = 3",
        (
            "update diary.chain_head set sequence = 2, hash = (select hash from diary.link "
            "where sequence = 2)"
        ),
    ),
    "another link in the place of the last": (
        "update diary.chain_head set hash = (select hash from diary.link where sequence = 2)",
    ),
    "links that nobody signed": (
        (
            "insert into diary.link select owner, 4, hash, statement, signature, act, entry_id, "
            "version, supersedes, salt from diary.link where sequence = 3"
        ),
        "update diary.chain_head set sequence = 4",
    ),
    "a head without links": ("update diary.chain_head set sequence = 9",),
    "a head without a hash": ("update diary.chain_head set sequence = 9, hash = null",),
    "no head": ("delete from diary.chain_head",),
    "a link as far ahead as a number can be": (
        (
            "insert into diary.link select owner, 9007199254740991, hash || '0', statement, "
            "signature, act, entry_id, version, supersedes, salt from diary.link "
            "where sequence = 3"
        ),
        "update diary.chain_head set sequence = 9007199254740991",
    ),
    **{
        f"a link that is {what}": (
            (
                "insert into diary.link select owner, 4, hash || '0', "
                f"{statement}, {signature}, act, entry_id, version, supersedes, salt "
                "from diary.link where sequence = 3"
            ),
            "update diary.chain_head set sequence = 4",
        )
        for what, statement, signature in (
            ("no statement", "'{}'", "signature"),
            ("nested without end", "repeat('[', 100000)", "signature"),
            ("signed with nonsense", "statement", "chr(8) || repeat('é', 999)"),
        )
    },
}


async def test_nothing_is_signed_behind_a_chain_that_is_not_the_one_seen(
    diary: Foundation, database_url: str, data_dir: Path, subtests: pytest.Subtests
) -> None:
    save_state(database_url, "seen")
    for attack, changes in SHORTER.items():
        assert (await diary.diary.signing.describe(ALICE)).problem is None
        for statement in changes:
            await run_sql(diary, statement)
        # Another process of the same machine, and this one.
        async with signed_diary(database_url, data_dir) as later:
            for who, foundation in (("another", later), ("this one", diary)):
                with subtests.test(attack, who=who):
                    await assert_nothing_is_signed(foundation, data_dir)
        restore_state(database_url, "seen")


async def assert_nothing_is_signed(foundation: Foundation, data_dir: Path) -> None:
    with structlog.testing.capture_logs() as logs:
        entry = await write(foundation, "written all the same")
    state = await foundation.diary.signing.describe(ALICE)

    assert entry.signature.state == "pending"
    assert state.problem is not None
    assert "is not the one that this machine has seen" in state.problem
    assert str(chain_file(data_dir)) in state.problem
    assert [line["event"] for line in logs if line["log_level"] == "warning"] == ["signing.refused"]
    with pytest.raises(ConflictError, match="has seen"):
        await foundation.diary.signing.change_keys(ALICE, [KeyChange("admit", OTHER)])


async def test_nothing_is_signed_where_the_last_link_seen_is_another(
    diary: Foundation, database_url: str, data_dir: Path, subtests: pytest.Subtests
) -> None:
    """Not by the process that signed the one which the database shows, either."""
    path = chain_file(data_dir)
    ((place, head),) = json.loads(path.read_bytes().splitlines()[-1]).items()
    seen = json.dumps({place: head | {"hash": HEAD.hash}})
    path.write_text(seen)

    async with signed_diary(database_url, data_dir) as later:
        for who, foundation in (("another", later), ("this one", diary)):
            with subtests.test(who=who):
                await assert_nothing_is_signed(foundation, data_dir)

    assert path.read_text() == seen


async def test_what_the_head_says_of_keys_and_time_is_not_believed(diary: Foundation) -> None:
    await run_sql(
        diary,
        "update diary.chain_head set valid_keys = '{}', signed_at = '2099-01-01T00:00:00Z'",
    )

    entry = await write(diary, "signed all the same")

    assert entry.signature.state == "signed"
    assert str((await statements(diary))[-1]["time"]) < "2099"
    assert first_broken(await verify(diary)) is None
    assert (await diary.diary.signing.describe(ALICE)).problem is None


async def test_a_takeover_that_this_machine_did_not_make_ends_its_signing(
    diary: Foundation, database_url: str, tmp_path: Path
) -> None:
    async with signed_diary(database_url, tmp_path / "operator") as operator:
        await take_over(operator)

    entry = await write(diary, "after it")

    assert entry.signature.state == "pending"
    assert "takeover" in str((await diary.diary.signing.describe(ALICE)).problem)


async def test_links_of_another_machine_are_followed(
    diary: Foundation, database_url: str, tmp_path: Path
) -> None:
    async with signed_diary(database_url, tmp_path / "second") as second:
        key = (await second.diary.signing.describe(ALICE)).key
        assert key is not None
        await diary.diary.signing.change_keys(ALICE, [KeyChange("admit", key)])
        for number in range(3):
            await write(second, f"there {number}")
        here = await write(diary, "here")
        there = await write(second, "there")

    assert (here.signature.state, there.signature.state) == ("signed", "signed")


async def test_a_chain_that_is_forgotten_is_met_anew(
    diary: Foundation, database_url: str, data_dir: Path
) -> None:
    for statement in SHORTER["its last link cut off"]:
        await run_sql(diary, statement)
    chain_file(data_dir).unlink()

    async with signed_diary(database_url, data_dir) as later:
        entry = await write(later, "after a backup was restored")

    assert entry.signature.state == "signed"


async def test_a_chain_that_does_not_end_where_its_head_says_is_not_met(
    diary: Foundation, database_url: str, data_dir: Path, subtests: pytest.Subtests
) -> None:
    for sequence, link_hash in ((0, "'sha256:00'"), (3, "'sha256:00'"), (3, "null"), (9, "hash")):
        await run_sql(
            diary, f"update diary.chain_head set sequence = {sequence}, hash = {link_hash}"
        )
        chain_file(data_dir).unlink(missing_ok=True)
        async with signed_diary(database_url, data_dir) as later:
            with subtests.test(sequence=sequence, link_hash=link_hash):
                entry = await write(later, "written all the same")

                assert entry.signature.state == "pending"
                assert "does not end" in str((await later.diary.signing.describe(ALICE)).problem)


async def test_what_is_verified_is_held_against_what_was_seen(diary: Foundation) -> None:
    for statement in SHORTER["its last link cut off"]:
        await run_sql(diary, statement)
    entry = await diary.diary.entries.get(ALICE, "key-0")

    assert first_broken(await verify(diary)) == 3
    alone = await diary.diary.verification.verify(ALICE, str(entry.id))
    assert not alone.entries[0].is_sound


def chain_file(data_dir: Path) -> Path:
    return data_dir / "keys" / "chains" / "alice.json"


def memory(data_dir: Path, place: str = "embedded") -> ChainMemoryFile:
    return ChainMemoryFile(data_dir, ALICE, place)


HEAD = Head(
    sequence=3,
    hash="sha256:" + "0" * 64,
    signed_at=datetime.now(UTC),
    valid_keys=[],
    known_keys=[],
)
LINE = (
    '{"embedded":{"sequence":7,"hash":"sha256:0","signed_at":null,"valid_keys":[],"known_keys":[]}}'
)


async def test_a_link_from_the_future_is_followed_and_expected_by_none(
    diary: Foundation, tmp_path: Path
) -> None:
    continuity = Continuity(memory(tmp_path), check_signature)
    now = datetime.now(UTC)
    near, far = (replace(HEAD, signed_at=now + timedelta(minutes=minutes)) for minutes in (3, 60))
    async with diary.store.reading() as rows:
        assert await continuity.follow(rows.chain, near, near, ()) == near
        with pytest.raises(ChainReplacedError, match="has not come yet"):
            await continuity.follow(rows.chain, far, far, ())
    expected: list[Head | None] = []
    for head in (HEAD, near, far):
        place = memory(tmp_path, str(head.signed_at))
        place.remember(head)
        expected.append(Continuity(place, check_signature).expect())
    assert expected == [HEAD, near, None]


def test_it_remembers_what_is_further_on_each_place_by_itself(tmp_path: Path) -> None:
    one, other = memory(tmp_path), memory(tmp_path, "postgresql://host/diary")

    one.remember(HEAD)
    other.remember(replace(HEAD, sequence=1))
    memory(tmp_path).remember(replace(HEAD, sequence=2))

    assert one.recall() == memory(tmp_path).recall() == HEAD
    assert other.recall() == replace(HEAD, sequence=1)
    assert chain_file(tmp_path).stat().st_mode & 0o077 == 0


def test_several_that_remember_in_one_file_see_each_other(tmp_path: Path) -> None:
    signers = [memory(tmp_path) for _ in range(3)]

    for sequence in range(1, 400):
        signers[sequence % 3].remember(replace(HEAD, sequence=sequence))

        assert [each.recall() for each in signers] == [replace(HEAD, sequence=sequence)] * 3
        assert chain_file(tmp_path).stat().st_size <= 64 * 1024
    assert [path.name for path in chain_file(tmp_path).parent.iterdir()] == ["alice.json"]


@pytest.mark.parametrize("end", ["", LINE[:40], LINE], ids=["none", "half of it", "all but it"])
def test_what_was_remembered_before_a_line_without_an_end_counts(tmp_path: Path, end: str) -> None:
    memory(tmp_path).remember(HEAD)
    with chain_file(tmp_path).open("a") as file:
        file.write(end)

    check_that_it_goes_on(tmp_path)


def test_what_was_remembered_as_one_value_in_several_lines_counts(tmp_path: Path) -> None:
    memory(tmp_path).remember(HEAD)
    path = chain_file(tmp_path)
    path.write_text(json.dumps(json.loads(path.read_bytes()), indent=1))

    check_that_it_goes_on(tmp_path)


def check_that_it_goes_on(data_dir: Path) -> None:
    later = replace(HEAD, sequence=4)
    after = memory(data_dir)

    assert after.recall() == HEAD
    after.remember(later)
    assert after.recall() == memory(data_dir).recall() == later


@pytest.mark.parametrize("told", ["{", "", "{}\n{\n", "[]", "\n"])
def test_a_memory_that_cannot_be_read_is_named(tmp_path: Path, told: str) -> None:
    memory(tmp_path).remember(HEAD)
    chain_file(tmp_path).write_text(told)

    with pytest.raises(SigningKeyError, match=str(chain_file(tmp_path))):
        memory(tmp_path).recall()
