"""Exported files as an attacker leaves them: what a proof covers is compared, the rest named."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from diary_mcp.commands.verify import verify
from diary_mcp.files.proof_check import CheckedFile, check_files
from diary_mcp.keys.ed25519 import check_signature
from support.signed_files import KEY, signed_entry, some_id, write_lines, write_markdown

Line = dict[str, Any]
SIGNER = f"alice {KEY.public_key}"
FIRST = signed_entry(1, key="first", content="The first.")
SECOND = signed_entry(2, key="second", content="The second.", supersedes=[some_id(1)])
THIRD = signed_entry(3, content="The third, which has no key.")


def check(*paths: Path) -> dict[str, CheckedFile]:
    return {Path(each.name).name: each for each in check_files(paths, check_signature, [])}


def problems(*paths: Path) -> dict[str, str | None]:
    return {name: each.problem for name, each in check(*paths).items()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_markdown(tmp_path / "out", FIRST, SECOND, THIRD)
    return tmp_path / "out"


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    write_lines(tmp_path / "diary.jsonl", FIRST, SECOND, THIRD)
    return tmp_path / "diary.jsonl"


def test_what_an_export_writes_is_sound(folder: Path, lines: Path) -> None:
    for path in (folder, lines):
        found = check_files([path], check_signature, [KEY.public_key])
        assert [(each.signer, each.problem, each.not_covered) for each in found] == [
            (SIGNER, None, ())
        ] * 3


def test_an_entry_that_superseded_a_deleted_one_is_sound_and_says_what_was_signed(
    tmp_path: Path,
) -> None:
    left = replace(SECOND, supersedes=(), superseded_keys=())
    write_markdown(tmp_path / "out", left)
    write_lines(tmp_path / "diary.jsonl", left)

    assert f"supersedes: {some_id(1)}.md" in (tmp_path / "out" / "second.md").read_text("utf-8")
    for path in (tmp_path / "out", tmp_path / "diary.jsonl"):
        (found,) = check_files([path], check_signature, [])
        assert (found.problem, found.not_covered) == (None, ())


def swap_names(folder: Path) -> None:
    first, second = folder / "first.md", folder / "second.md"
    first.rename(folder / "x.md")
    second.rename(first)
    (folder / "x.md").rename(second)


def replace_in(name: str, before: str, after: str) -> Callable[[Path], None]:
    def attack(folder: Path) -> None:
        text = (folder / name).read_text("utf-8")
        assert before in text
        (folder / name).write_text(text.replace(before, after, 1), "utf-8")

    return attack


def copy_to(name: str, other: str) -> Callable[[Path], None]:
    def attack(folder: Path) -> None:
        (folder / other).parent.mkdir(exist_ok=True)
        (folder / other).write_bytes((folder / name).read_bytes())

    return attack


FOLDER_ATTACKS: dict[str, tuple[Callable[[Path], None], set[str]]] = {
    "two files swap their names": (swap_names, {"first.md", "second.md"}),
    "a file has another name": (
        lambda folder: (folder / "first.md").rename(folder / "other.md") and None,
        {"other.md"},
    ),
    "a file is named by another id": (
        lambda folder: (folder / f"{some_id(3)}.md").rename(folder / f"{some_id(9)}.md") and None,
        {f"{some_id(9)}.md"},
    ),
    "a key is added where there was none": (
        replace_in(f"{some_id(3)}.md", "signature:", "key: invented\nsignature:"),
        {f"{some_id(3)}.md"},
    ),
    "supersedes names another file": (
        replace_in("second.md", "supersedes: first.md", f"supersedes: {some_id(3)}.md"),
        {"second.md"},
    ),
    "supersedes is removed": (
        replace_in("second.md", "supersedes: first.md", "supersedes:"),
        {"second.md"},
    ),
    "supersedes is added": (
        replace_in("first.md", "supersedes: null", "supersedes: second.md"),
        {"first.md"},
    ),
    "an entry is copied": (copy_to("first.md", "again.md"), {"again.md", "first.md"}),
    "an entry is copied into a folder": (copy_to("first.md", "sub/first.md"), {"first.md"}),
    "the proof has a name twice": (
        replace_in("first.md", '{"opening":', '{"signature":"x","opening":'),
        {"first.md"},
    ),
    "the proof is no string any more": (
        replace_in("first.md", "signature: '{", "signature: {x: y} #'{"),
        {"first.md"},
    ),
    "the content": (replace_in("first.md", "The first.", "The forged."), {"first.md"}),
    "the author": (replace_in("first.md", "author: model-1", "author: boss"), {"first.md"}),
}


@pytest.mark.parametrize("name", FOLDER_ATTACKS)
def test_a_change_of_what_a_proof_covers_is_found_in_a_folder(folder: Path, name: str) -> None:
    attack, wrong = FOLDER_ATTACKS[name]

    attack(folder)

    found = check_files([folder], check_signature, [])
    assert {Path(each.name).name for each in found if each.problem is not None} == wrong


@pytest.mark.parametrize(
    ("added", "named"),
    [
        ("mood: glad", "mood"),
        ("approved_by: ceo", "approved_by"),
        ("# approved by the CEO", "comments"),
        ("owner: mallory", "owner"),
        ('"\\e[2Jx": y', '"\\x1b[2Jx"'),
    ],
)
def test_front_matter_that_was_added_is_named(folder: Path, added: str, named: str) -> None:
    replace_in("first.md", "signature:", f"{added}\nsignature:")(folder)

    found = check(folder)["first.md"]

    assert (found.signer, found.problem) == (SIGNER, None)
    assert found.not_covered == (named,)


def test_a_type_in_words_of_its_own_is_named(folder: Path) -> None:
    replace_in("first.md", "type: note", "type: approval")(folder)

    assert check(folder)["first.md"].not_covered == ("type",)


def test_a_file_alone_says_what_it_supersedes_by_a_name_that_cannot_be_compared(
    folder: Path,
) -> None:
    found = check(folder / "second.md")["second.md"]

    assert (found.problem, found.not_covered) == (
        None,
        ("supersedes first, which is none of these files",),
    )
    replace_in("second.md", "supersedes: first.md", "supersedes:")(folder)
    assert problems(folder / "second.md") == {
        "second.md": f"it was signed to supersede {some_id(1)}, and this does not"
    }


LINE_ATTACKS: dict[str, Callable[[Line], object]] = {
    "id": lambda line: line.update(id=str(some_id(9))),
    "an id that is none": lambda line: line.update(id="x"),
    "owner": lambda line: line.update(owner="mallory"),
    "version": lambda line: line.update(version=7),
    "created_at": lambda line: line.update(created_at="2020-01-01T00:00:00Z"),
    "updated_at": lambda line: line.update(updated_at="2020-01-01T00:00:00Z"),
    "content_hash": lambda line: line.update(content_hash="sha256:" + "0" * 64),
    "key": lambda line: line.update(key="another"),
    "no key": lambda line: line.pop("key"),
    "supersedes": lambda line: line.update(supersedes="second"),
    "title": lambda line: line.update(title="forged"),
    "a damaged proof": lambda line: line["signature"]["proof"].pop("opening"),
    "a member more in the proof": lambda line: line["signature"]["proof"].update(more=1),
    "a second proof": lambda line: line["signature"].update({"import": {}}),
    "the subject": lambda line: line["signature"]["proof"]["statement"].update(
        subject=KEY.public_key
    ),
}


@pytest.mark.parametrize("name", LINE_ATTACKS)
def test_a_change_of_what_a_proof_covers_is_found_in_a_line(lines: Path, name: str) -> None:
    read = [json.loads(line) for line in lines.read_text("utf-8").splitlines()]
    LINE_ATTACKS[name](read[0])
    lines.write_text("".join(json.dumps(line) + "\n" for line in read), "utf-8")

    assert [each.problem is None for each in check_files([lines], check_signature, [])] == [
        False,
        True,
        True,
    ]


def test_what_only_a_server_says_is_named(lines: Path) -> None:
    read = [json.loads(line) for line in lines.read_text("utf-8").splitlines()]
    read[0] |= {"role": "owner", "superseded_by": None}
    lines.write_text("".join(json.dumps(line) + "\n" for line in read), "utf-8")

    assert check_files([lines], check_signature, [])[0].not_covered == ("role", "superseded_by")


def test_beside_a_state_that_claims_no_signature_nothing_but_the_entry_is_covered(
    lines: Path,
) -> None:
    read = [json.loads(line) for line in lines.read_text("utf-8").splitlines()]
    read[0]["owner"] = "mallory"
    read[0]["signature"]["state"] = "pending"
    lines.write_text("".join(json.dumps(line) + "\n" for line in read), "utf-8")

    assert "owner" in check_files([lines], check_signature, [])[0].not_covered


def run(*arguments: str | Path) -> tuple[int, str, str]:
    done = CliRunner().invoke(verify, list(map(str, arguments)), catch_exceptions=False)
    return done.exit_code, done.stdout, done.stderr


HOSTILE = ["a\nsound", "\x1b[2J\x1b[Hsound", "\u202edellac", "\u2066x", "\x9b1A", "x\rsound"]


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_printed_cannot_be_forged_by_a_name(tmp_path: Path, name: str) -> None:
    path = tmp_path / f"{name}.md"
    write_markdown(tmp_path, signed_entry(1, key="first"))
    (tmp_path / "first.md").rename(path)

    code, out, err = run(path)

    assert code == 1
    assert all(character.isprintable() or character == "\n" for character in out + err)
    assert out.splitlines()[-1] == "NOT sound"
    assert "sound" not in out.splitlines()
    assert len(err.splitlines()) == 1


def test_strict_does_not_call_sound_what_is_not_signed(tmp_path: Path) -> None:
    (tmp_path / "note.md").write_text("not signed")

    code, out, _ = run(tmp_path, "--strict")

    assert (code, "sound" in out) == (1, False)
    assert run(tmp_path)[0] == 0


def test_files_are_told_as_json_too(folder: Path) -> None:
    code, out, _ = run(folder, "--json")

    assert code == 0
    assert json.loads(out)["totals"] == {"checked": 3, "signed": 3, "unsigned": 0}


@pytest.mark.parametrize("value", ["NaN", "Infinity", "1e999"])
def test_a_number_that_json_does_not_have_is_refused(lines: Path, value: str) -> None:
    text = lines.read_text("utf-8").replace('"importance": 0.5', f'"importance": {value}', 1)
    lines.write_text(text, "utf-8")

    (first, *_) = check_files([lines], check_signature, [])

    assert first.problem is not None
    assert "not JSON that can be read" in first.problem
