"""Keys and file names."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from uuid_utils.compat import uuid7

from diary_mcp.domain.fields import EntryId
from diary_mcp.files.names import file_names, find_claim, find_entry_id, read_name, stands_for
from diary_mcp.service.ports.entries import EntryReference

ID = EntryId(UUID("01a20a06-9136-73c0-b08d-941075f1298f"))
OTHER_ID = EntryId(UUID("01a20a06-9136-73c0-b08d-941075f12990"))


def _name(key: str | None) -> str:
    return file_names([EntryReference(ID, key)])[ID]


@pytest.mark.parametrize(
    ("key", "name"),
    [
        pytest.param("2026-03-01-01-kickoff", "2026-03-01-01-kickoff", id="usual"),
        pytest.param("Ünï 100% [x].md", "Ünï 100% [x].md", id="safe"),
        pytest.param(None, str(ID), id="without key"),
        pytest.param("a/b", "a%2Fb", id="slash"),
        pytest.param("..", "%2E%2E", id="parent folder"),
        pytest.param("../../etc/passwd", "%2E.%2F..%2Fetc%2Fpasswd", id="path"),
        pytest.param(".hidden", "%2Ehidden", id="leading dot"),
        pytest.param("a\nb\\C", "a%0Ab%5CC", id="control character"),
        pytest.param("Projects/Diary", "Projects%2FDiary", id="folder"),
        pytest.param('a: "b"?', "a%3A %22b%22%3F", id="not on Windows"),
        pytest.param("con", "%63on", id="device"),
        pytest.param("COM¹.x", "%43OM¹.x", id="device of a small digit"),
        pytest.param("AUX.2024", "%41UX.2024", id="device with a suffix"),
        pytest.param("conference", "conference", id="no device"),
        pytest.param("etc.", "etc%2E", id="trailing dot"),
        pytest.param("etc ", "etc%20", id="trailing space"),
        pytest.param("é" * 126, "é" * 126, id="longest"),
        pytest.param("é" * 127, str(ID), id="too long"),
    ],
)
def test_a_key_that_cannot_be_a_file_name_is_encoded(key: str | None, name: str) -> None:
    assert _name(key) == name


def test_keys_that_differ_by_case_alone_get_different_files() -> None:
    names = file_names([EntryReference(ID, "Note"), EntryReference(OTHER_ID, "note")])

    assert names == {ID: "%4Eote", OTHER_ID: "note"}


def test_a_key_that_spells_the_id_of_an_entry_without_key_gets_another_file() -> None:
    names = file_names([EntryReference(ID, None), EntryReference(OTHER_ID, str(ID))])

    assert names[ID] == str(ID)
    assert names[OTHER_ID] != str(ID)


@pytest.mark.parametrize(
    "name", ["note", str(ID).upper(), f"{{{ID}}}", "f47ac10b-58cc-4372-a567-0e02b2c3d479", ""]
)
def test_only_an_id_as_an_export_writes_it_is_taken_for_one(name: str) -> None:
    assert find_entry_id(str(ID)) == ID
    assert find_entry_id(name) is None


def test_a_key_in_front_matter_counts_only_in_a_file_that_an_export_names_so() -> None:
    assert stands_for("a%2Fb", "a/b")
    assert stands_for(str(ID), "a key that is too long")
    assert not stands_for("2026-03-01-01-kickoff", "PROJ-12")


@pytest.mark.parametrize(
    ("text", "claim"),
    [
        ("note.md", "note"),
        (" note ", "note"),
        ("notes/older/note.MD", "notes/older/note"),
        (".md", None),
        ("", None),
        ("x" * 256, None),
        ("[[first-note]]", "first-note"),
        ("[[notes/first-note|alias]]", "notes/first-note"),
        ("[[first-note#Heading]]", "first-note"),
        ("[first](notes/first%20note.md)", "notes/first note"),
        ("note.markdown", "note"),
        ("Cafe\u0301-re\u0301union", "Caf\u00e9-r\u00e9union"),
        ("a\0b", None),
        ("\ud800", None),
    ],
)
def test_a_claim_is_a_file_name_with_or_without_md(text: str, claim: str | None) -> None:
    assert find_claim(text) == claim


KEYS = st.text(
    st.one_of(
        st.sampled_from("aAbB/.%~-é\u0301\\ \n"),
        st.characters(exclude_categories=["Cs"], exclude_characters="\0"),
    ),
    min_size=1,
    max_size=255,
)


@given(st.lists(st.none() | KEYS, max_size=12))
def test_every_entry_gets_a_file_of_its_own_that_leads_back_to_its_key(
    keys: list[str | None],
) -> None:
    distinct = {key for key in keys if key is not None}
    references = [EntryReference(EntryId(uuid7()), key) for key in [*distinct, None, None]]

    names = file_names(references)

    assert names == file_names(reversed(references))
    assert len({name.casefold() for name in names.values()}) == len(references)
    for reference in references:
        name = names[reference.id]
        assert not name.startswith(".")
        assert not set(name) & set("/\\\0\n\r")
        assert len(f"{name}.md".encode()) <= 255
        if reference.key is None:
            assert find_entry_id(name) == reference.id
        elif find_entry_id(name) is not None or read_name(name) != reference.key:
            assert stands_for(name, reference.key)


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("note", "note"),
        ("Cafe\u0301", "Caf\u00e9"),
        ("Projects%2FDiary", "Projects/Diary"),
        ("a%3Ab", "a:b"),
        ("100%25", "100%25"),
        ("a%2fb", "a%2fb"),
        ("%41bc", "%41bc"),
    ],
)
def test_a_name_leads_to_the_key_that_it_was_made_of(name: str, key: str) -> None:
    assert read_name(name) == key
