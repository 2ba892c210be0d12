"""From paths to entries: which files are read, and what is passed over."""

import json
import os
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZIP_LZMA, ZipFile

import pytest

from diary_mcp.files.reading import Batch, read_batches
from diary_mcp.files.sources import MAX_FILE_BYTES, MAX_LINE_BYTES, Rejection, Source, find_sources
from diary_mcp.files.zip_archive import MAX_UNPACKED_BYTES


def _find(*paths: Path) -> tuple[list[str], list[Rejection]]:
    found = list(find_sources(paths))
    sources = [item.path.name for item in found if isinstance(item, Source)]
    return sources, [item for item in found if isinstance(item, Rejection)]


def _read(*paths: Path, size: int = 100) -> list[Batch]:
    found = list(find_sources(paths))
    return list(read_batches([item for item in found if isinstance(item, Source)], size))


def _keys(batch: Batch) -> list[str | None]:
    return [entry.draft.key for entry in batch.entries]


def test_folders_are_walked_in_the_order_of_their_names(tmp_path: Path) -> None:
    for name in ("b.md", "a.md", "sub/c.MD", "sub/.hidden.md", ".git/d.md", "e.txt", "f.jsonl"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("x")

    assert _find(tmp_path) == (["a.md", "b.md", "f.jsonl", "c.MD"], [])


def test_a_file_is_read_once_however_it_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.md"
    path.write_text("x")

    assert _find(path, tmp_path, tmp_path / "." / "a.md") == (["a.md"], [])


def test_a_loop_of_symbolic_links_ends(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "a.md").write_text("x")
    (tmp_path / "sub" / "up").symlink_to(tmp_path)
    (tmp_path / "self").symlink_to(tmp_path / "self")

    assert _find(tmp_path) == (["a.md"], [])


def test_a_path_that_cannot_be_used_is_named_with_the_reason(tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("x")
    empty = tmp_path / "empty"
    empty.mkdir()
    missing = tmp_path / "missing\x1b.md"

    _, rejected = _find(missing, text, empty)

    assert [(item.path, item.reason.partition(";")[0].partition(":")[0]) for item in rejected] == [
        (f"{tmp_path}/missing\\x1b.md", "does not exist"),
        (str(text), "is neither Markdown (.md) nor JSON Lines (.jsonl)"),
        (str(empty), "holds no entries"),
    ]


def _zip(path: Path, name: str, text: str = "[]", packing: int = ZIP_DEFLATED) -> Path:
    with ZipFile(path, "w", packing) as packed:
        packed.writestr(name, text)
    return path


def test_a_zip_without_conversations_that_can_be_unpacked_is_rejected(tmp_path: Path) -> None:
    conversation = '[{"title": "Hi", "mapping": {}}]'
    damaged = _zip(tmp_path / "damaged.zip", "conversations.json", conversation * 99)
    damaged.write_bytes(
        damaged.read_bytes().replace(b"conversations.json", b"conversations.jsoX", 1)
    )
    encrypted = _zip(tmp_path / "encrypted.zip", "a/conversations.json", conversation)
    raw = bytearray(encrypted.read_bytes())
    for header, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        raw[raw.index(header) + flags] |= 1
    encrypted.write_bytes(raw)
    (tmp_path / "text.ZIP").write_text("no zip")
    lzma = _zip(tmp_path / "lzma.zip", "conversations.json", conversation, ZIP_LZMA)
    lzma.write_bytes(lzma.read_bytes().replace(b"\x05\x00]", b"\x05\x00\xff", 1))
    name = _zip(tmp_path / "name.zip", "conversations-é.json", conversation)
    name.write_bytes(name.read_bytes().replace("é".encode(), b"\xff\xfe"))

    _, rejected = _find(
        damaged,
        encrypted,
        lzma,
        name,
        tmp_path / "text.ZIP",
        _zip(tmp_path / "other.zip", "conversations.json", '{"a": 1}'),
        _zip(tmp_path / "notes.zip", "notes/a.md", "# A"),
    )

    assert [each.reason.partition(" (")[0] for each in rejected] == [
        *["cannot be unpacked"] * 5,
        *["holds no conversations.json of ChatGPT or Claude; unpack it, and name its folder."] * 2,
    ]


def test_a_zip_of_more_than_can_be_read_is_rejected(tmp_path: Path) -> None:
    path = tmp_path / "export.zip"
    with ZipFile(path, "w") as packed:
        for number in range(2):
            packed.writestr(f"conversations-{number}.json", "[]")
    raw = bytearray(path.read_bytes())
    first = raw.index(b"PK\x01\x02")
    for header in (first, raw.index(b"PK\x01\x02", first + 1)):
        raw[header + 24 : header + 28] = (MAX_UNPACKED_BYTES // 2 + 1).to_bytes(4, "little")
    path.write_bytes(raw)

    _, (rejected,) = _find(path)

    assert rejected.reason.startswith("holds more than 1 GiB of conversations")


def test_a_zip_that_is_damaged_further_on_is_rejected_whole(tmp_path: Path) -> None:
    conversations = json.dumps([{"title": os.urandom(99).hex(), "mapping": {}}] * 9_999)
    path = _zip(tmp_path / "export.zip", "conversations.json", conversations)
    raw = bytearray(path.read_bytes())
    raw[-200] ^= 0xFF
    path.write_bytes(raw)

    (batch,) = _read(path)

    assert batch.entries == []
    assert [each.reason.partition(" (")[0] for each in batch.rejected] == ["cannot be unpacked"]


def test_what_cannot_be_read_does_not_keep_the_others_back(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("first")
    (tmp_path / "b.md").write_bytes(b"\0")
    (tmp_path / "c.md").write_bytes(b"x" * (MAX_FILE_BYTES + 1))
    (tmp_path / "d.md").symlink_to(tmp_path / "gone.md")
    os.mkfifo(tmp_path / "e.md")
    (tmp_path / "f.md").write_text("last")
    (tmp_path / ("x" * 250 + ".md")).write_text("long name")

    (batch,) = _read(tmp_path)

    assert _keys(batch) == ["a", "f", "x" * 250]
    assert [(Path(item.path).name, item.reason.split(";")[0]) for item in batch.rejected] == [
        ("b.md", "holds NUL bytes, so it is binary or UTF-16"),
        ("c.md", "is larger than an entry can be (100,000 characters)"),
        ("d.md", "cannot be read (No such file or directory)"),
        ("e.md", "is not a regular file"),
    ]
    assert batch.files_done == 7


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_and_a_folder_without_permission_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("x")
    (tmp_path / "a.md").chmod(0)
    (tmp_path / "b").mkdir(0)

    _, rejected = _find(tmp_path)
    (batch,) = _read(tmp_path)

    assert [Path(item.path).name for item in (*rejected, *batch.rejected)] == ["b", "a.md"]
    assert "Permission denied" in rejected[0].reason


def test_each_line_of_a_json_lines_file_stands_for_itself(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(
        b'\xef\xbb\xbf{"content": "a", "key": "a"}\r\n\n{"content": 7}\n'
        + b"x" * (MAX_LINE_BYTES + 5)
        + b'\n{"content": "b", "key": "b"}'
    )

    (batch,) = _read(path)

    assert _keys(batch) == ["a", "b"]
    assert [item.path for item in batch.rejected] == [f"{path}:3", f"{path}:4"]


def test_an_empty_json_lines_file_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").touch()

    (batch,) = _read(tmp_path)

    assert batch.rejected[0].reason.startswith("is empty")


def _write(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"in {name}")


def test_a_key_that_is_there_twice_is_rejected_naming_both_files(tmp_path: Path) -> None:
    _write(tmp_path, "a.markdown", "a.md")

    (batch,) = _read(tmp_path)

    assert _keys(batch) == ["a"]
    assert batch.rejected[0].path == f"{tmp_path}/a.md"
    assert f"of {tmp_path}/a.markdown" in batch.rejected[0].reason


def test_files_of_one_name_in_several_folders_have_their_folders_in_the_key(tmp_path: Path) -> None:
    _write(tmp_path, "a.md", "sub/a.md", "sub/deep/a.md", "sub/b.markdown")

    (batch,) = _read(tmp_path)

    assert _keys(batch) == ["a", "sub/a", "b", "sub/deep/a"]
    assert batch.rejected == []


def test_files_of_one_name_in_folders_that_were_named_each_have_those_in_the_key(
    tmp_path: Path,
) -> None:
    _write(tmp_path, "one/a.md", "two/a.md", "three/a.md")

    (batch,) = _read(tmp_path / "one", tmp_path / "two", tmp_path / "three" / "a.md")

    assert _keys(batch) == ["one/a", "two/a", "three/a"]


def test_names_that_people_see_as_the_same_are_the_same(tmp_path: Path) -> None:
    _write(tmp_path, "one/Cafe\u0301.md", "two/Caf\u00e9.md", "Re\u0301union.md")

    (batch,) = _read(tmp_path)

    assert _keys(batch) == ["R\u00e9union", "one/Caf\u00e9", "two/Caf\u00e9"]


def test_a_link_that_leads_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    outside, folder = tmp_path / "outside", tmp_path / "folder"
    _write(outside, "secret.md", "more/secret.md")
    _write(folder, "a.md", "sub/b.md")
    (folder / "secret.md").symlink_to(outside / "secret.md")
    (folder / "more").symlink_to(outside / "more")
    (folder / "same.md").symlink_to(folder / "sub" / "b.md")
    (tmp_path / "door").symlink_to(folder)

    names, rejected = _find(tmp_path / "door")

    assert names == ["a.md", "same.md", "b.md"]
    assert [Path(item.path).name for item in rejected] == ["more", "secret.md"]
    assert "leads out" in rejected[0].reason


def test_a_line_without_key_that_is_there_twice_counts_once(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text('{"content": "x"}\n{"content": "x"} \n{"content": "y"}\n')

    (batch,) = _read(tmp_path)

    assert len(batch.entries) == 2
    assert batch.repeated == 1


def test_batches_hold_no_more_entries_than_they_should(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"{number}.md").write_text("x")
    (tmp_path / "x.jsonl").write_text('{"content": "x"}\n{"content": "y"}\n')

    batches = _read(tmp_path, size=2)

    assert [len(batch.entries) for batch in batches] == [2, 2, 1]
    assert [batch.files_done for batch in batches] == [2, 3, 4]
