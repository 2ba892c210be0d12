"""What imported files say they supersede: linked as soon as it is there."""

import unicodedata
from pathlib import Path
from typing import Literal

import pytest

from diary_mcp.app import Foundation
from diary_mcp.domain.entry import EntryDraft
from support.diary_files import get_entry, list_links, run_export, run_import, write_files
from support.journal import OWNER, SAMPLES, real_journal

pytestmark = pytest.mark.anyio


def _claim(older: str, date: str = "2026-03-01") -> str:
    return f"---\ndate: {date}\nsupersedes: {older}\n---\ntext"


async def test_the_first_claim_by_date_is_linked_and_the_others_are_kept(
    foundation: Foundation,
) -> None:
    await run_import(foundation, SAMPLES)

    later = await get_entry(foundation, "2026-03-02-02-queue")
    unresolved = await get_entry(foundation, "2026-03-03-01-fix")
    assert await list_links(foundation) == {"2026-03-02-03-queue-again": "2026-03-01-01-kickoff"}
    assert later.source_keys == ["2026-03-01-01-kickoff"]
    assert unresolved.source_keys == ["notes/2026-02-27-01-never-committed"]


async def test_the_chains_of_a_real_journal_are_linked(foundation: Foundation) -> None:
    journal = real_journal()
    await run_import(foundation, journal)

    links = await list_links(foundation)

    assert {key: older for key, older in links.items() if key.startswith("2026-01")} == {
        "2026-01-31-04-session-handoff": "2026-01-30-05-session-handoff",
        "2026-01-31-07-session-handoff": "2026-01-31-04-session-handoff",
    }


@pytest.mark.parametrize("claim", ["a", "a.md", "notes/a.md", "../a"])
async def test_a_claim_is_linked_whichever_file_comes_first(
    foundation: Foundation, tmp_path: Path, claim: str
) -> None:
    newer = write_files(tmp_path / "newer", {"b": _claim(claim)})
    older = write_files(tmp_path / "older", {"a": "text"})

    await run_import(foundation, newer)
    unlinked = await list_links(foundation)
    await run_import(foundation, older)

    assert unlinked == {}
    assert await list_links(foundation) == {"b": "a"}


async def test_a_claim_is_linked_to_an_entry_that_a_tool_creates_later(
    foundation: Foundation, tmp_path: Path
) -> None:
    await run_import(foundation, write_files(tmp_path / "in", {"b": _claim("a.md")}))

    await foundation.diary.entries.create(OWNER, EntryDraft(content="x", key="a"))

    assert await list_links(foundation) == {"b": "a"}


async def test_an_entry_that_a_tool_superseded_is_left_to_the_tool(
    foundation: Foundation, tmp_path: Path
) -> None:
    entries = foundation.diary.entries
    await entries.create(OWNER, EntryDraft(content="x", key="a"))
    await entries.create(OWNER, EntryDraft(content="y", key="tool", supersedes=["a"]))

    report = await run_import(foundation, write_files(tmp_path / "in", {"b": _claim("a")}))

    assert report.rejected == []
    assert await list_links(foundation) == {"tool": "a"}


async def test_circles_and_self_reference_are_not_linked(
    foundation: Foundation, tmp_path: Path
) -> None:
    folder = write_files(
        tmp_path / "in",
        {
            "self": _claim("self"),
            "a": _claim("c", "2026-03-01"),
            "b": _claim("a", "2026-03-02"),
            "c": _claim("b", "2026-03-03"),
        },
    )

    report = await run_import(foundation, folder)
    await run_import(foundation, folder)

    assert (report.imported, report.rejected) == (4, [])
    assert await list_links(foundation) == {"a": "c", "b": "a"}


async def test_a_changed_claim_moves_the_link_and_an_unchanged_one_keeps_it(
    foundation: Foundation, tmp_path: Path
) -> None:
    folder = write_files(tmp_path / "in", {"a": "x", "b": "x", "c": _claim("a")})
    await run_import(foundation, folder)

    write_files(folder, {"c": _claim("a") + " changed"})
    await run_import(foundation, folder)
    kept = await list_links(foundation)
    write_files(folder, {"c": _claim("b")})
    await run_import(foundation, folder)
    moved = await list_links(foundation)
    write_files(folder, {"c": "no claim"})
    await run_import(foundation, folder)

    assert kept == {"c": "a"}
    assert moved == {"c": "b"}
    assert await list_links(foundation) == {}


async def test_a_claim_outlives_the_entry_that_it_was_linked_to(
    foundation: Foundation, tmp_path: Path
) -> None:
    folder = write_files(tmp_path / "in", {"a": "x", "b": _claim("a.md")})
    await run_import(foundation, folder)
    await foundation.diary.entries.delete(OWNER, "a")

    await run_export(foundation, tmp_path / "out")
    await run_import(foundation, folder)

    assert (tmp_path / "out" / "b.md").read_bytes() == (folder / "b.md").read_bytes()
    assert await list_links(foundation) == {"b": "a"}


@pytest.mark.parametrize(
    "claim",
    ["'[[Caf\u00e9-r\u00e9union]]'", "Cafe\u0301-re\u0301union.md", "old/Caf\u00e9-r\u00e9union"],
)
@pytest.mark.parametrize("form", ["NFC", "NFD"])
async def test_names_that_people_see_as_the_same_meet(
    foundation: Foundation, tmp_path: Path, claim: str, form: Literal["NFC", "NFD"]
) -> None:
    older = unicodedata.normalize(form, "Caf\u00e9-r\u00e9union")
    write_files(tmp_path, {older: "x", "newer": _claim(claim)})

    report = await run_import(foundation, tmp_path)

    assert report.rejected == []
    assert await list_links(foundation) == {"newer": "Caf\u00e9-r\u00e9union"}


async def test_a_key_that_a_tool_gave_is_met_however_its_letters_are_written(
    foundation: Foundation, tmp_path: Path
) -> None:
    older = "Cafe\u0301"
    await foundation.diary.entries.create(OWNER, EntryDraft(content="x", key=older))
    write_files(tmp_path, {"newer": _claim("Caf\u00e9")})

    await run_import(foundation, tmp_path)

    assert await list_links(foundation) == {"newer": unicodedata.normalize("NFC", older)}


async def test_several_claims_of_one_file_are_linked_as_each_arrives_and_come_back(
    foundation: Foundation, tmp_path: Path
) -> None:
    text = "---\ndate: 2026-03-02\nsupersedes: [a, notes/b.md, c]\n---\ntext"
    await run_import(foundation, write_files(tmp_path / "newer", {"n": text}))
    await run_import(foundation, write_files(tmp_path / "one", {"b": "text"}))
    await foundation.diary.entries.create(OWNER, EntryDraft(content="x", key="a"))

    links = await list_links(foundation)
    report = await run_export(foundation, tmp_path / "out")
    again = await run_import(foundation, tmp_path / "out")

    assert set(links["n"].split()) == {"a", "b"}
    assert (tmp_path / "out" / "n.md").read_text("utf-8") == text
    assert (report.written, again.imported) == (3, 0)
    await run_import(foundation, write_files(tmp_path / "two", {"c": "text"}))
    assert set((await list_links(foundation))["n"].split()) == {"a", "b", "c"}


async def test_a_file_that_claims_less_lets_go_of_the_rest(
    foundation: Foundation, tmp_path: Path
) -> None:
    files = {"a": "text", "b": "text", "n": "---\nsupersedes:\n- a\n- b\n---\ntext"}
    await run_import(foundation, write_files(tmp_path / "x", files))
    files["n"] = "---\nsupersedes: b\n---\ntext"
    files["m"] = "---\nsupersedes: a\n---\ntext"

    await run_import(foundation, write_files(tmp_path / "x", files))

    assert await list_links(foundation) == {"n": "b", "m": "a"}
