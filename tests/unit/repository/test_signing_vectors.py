"""The published vectors: ours agree with them, and so does an implementation from the page."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from diary_mcp.domain.chain import PublicKey
from diary_mcp.files.bundle_check import verify_bundle
from diary_mcp.keys.ed25519 import check_signature
from diary_mcp.service.chain.statements import decode_base64url, read_statement
from support.clients import Json
from support.independent_check import (
    canonical,
    check_bundle,
    content_hash,
    hash_of,
    is_signed_by,
    is_statement,
)
from support.signing_vectors import VECTORS, written

PUBLISHED: Json = json.loads(VECTORS.read_text("utf-8"))
BUNDLE: list[str] = PUBLISHED["bundle"]


def test_the_published_vectors_are_what_we_compute() -> None:
    assert VECTORS.read_text("utf-8") == written()


@pytest.mark.parametrize("vector", PUBLISHED["canonical"], ids=lambda each: each["hash"][7:15])
def test_another_implementation_writes_the_same_canonical_form(vector: Json) -> None:
    assert canonical(vector["value"]).decode() == vector["canonical"]
    assert hash_of(vector["value"]) == vector["hash"]


@pytest.mark.parametrize("vector", PUBLISHED["entries"], ids=lambda each: each["commitment"][7:15])
def test_another_implementation_computes_the_same_content_hash_and_commitment(
    vector: Json,
) -> None:
    entry = vector["entry"]

    computed = content_hash(entry["id"], entry["owner"], entry)

    assert computed == vector["content_hash"]
    assert hash_of({**vector["opening"], "content_hash": computed}) == vector["commitment"]


@pytest.mark.parametrize("vector", PUBLISHED["links"], ids=lambda each: each["hash"][7:15])
def test_another_implementation_accepts_the_same_signatures(vector: Json) -> None:
    key, message = vector["statement"]["key"], vector["canonical"].encode()

    assert canonical(vector["statement"]) == message
    assert hash_of(vector["statement"]) == vector["hash"]
    for check in (is_signed_by, check_signature):
        assert check(key, vector["signature"], message)
        assert not check(key, vector["signature"], message + b" ")
        assert not check(key, vector["signature"] + "A", message)
        assert not check(PublicKey("ed25519:x"), vector["signature"], message)


@pytest.mark.parametrize("vector", PUBLISHED["statements"], ids=lambda each: each["why"])
def test_both_refuse_what_is_no_statement(vector: Json) -> None:
    text = canonical(vector["statement"]).decode()

    assert not is_statement(vector["statement"])
    with pytest.raises(ValueError, match="is no"):
        read_statement(text)


def edit(line: int, change: Callable[[Json], object]) -> list[str]:
    """The published bundle with one line changed."""
    value = json.loads(BUNDLE[line])
    change(value)
    return [*BUNDLE[:line], json.dumps(value, ensure_ascii=False), *BUNDLE[line + 1 :]]


ENTRIES = next(number for number, line in enumerate(BUNDLE) if '"entry": {"created_at"' in line)


def set_entry(**values: object) -> Callable[[Json], object]:
    return lambda line: line["entry"].update(values)


def set_version(**values: object) -> Callable[[Json], object]:
    return lambda line: line["entry"]["versions"][0].update(values)


def set_statement(**values: object) -> Callable[[Json], object]:
    return lambda line: line["link"]["statement"].update(values)


def swap(first: int, second: int) -> list[str]:
    lines = list(BUNDLE)
    lines[first], lines[second] = lines[second], lines[first]
    return lines


def without(*numbers: int) -> list[str]:
    return [line for number, line in enumerate(BUNDLE) if number not in numbers]


CHANGED: dict[str, list[str]] = {
    "nothing": BUNDLE,
    "content": edit(ENTRIES, set_version(content="forged")),
    "title": edit(ENTRIES, set_version(title="forged")),
    "tags": edit(ENTRIES + 1, set_version(tags=["forged"])),
    "importance": edit(ENTRIES + 2, set_version(importance=0.25)),
    "date": edit(ENTRIES, set_version(date="2020-01-01T00:00:00Z")),
    "salt": edit(ENTRIES, set_version(salt="AAAA")),
    "no salt": edit(ENTRIES, set_version(salt=None)),
    "content hash": edit(ENTRIES, set_version(content_hash="sha256:00")),
    "updated_at": edit(ENTRIES, set_version(updated_at="2020-01-01T00:00:00Z")),
    "created_at": edit(ENTRIES, set_entry(created_at="2020-01-01T00:00:00Z")),
    "key": edit(ENTRIES, set_entry(key="another")),
    "owner": edit(ENTRIES, set_entry(owner="mallory")),
    "supersedes": edit(ENTRIES, set_entry(supersedes=json.loads(BUNDLE[-1])["entry"]["id"])),
    "an earlier version": edit(
        ENTRIES, lambda line: line["entry"]["versions"][1].update(content="forged")
    ),
    "an earlier version's hash": edit(
        ENTRIES, lambda line: line["entry"]["versions"][1].update(content_hash="sha256:00")
    ),
    "no earlier version": edit(ENTRIES, lambda line: line["entry"]["versions"].pop()),
    "a higher version": edit(ENTRIES, set_version(version=9)),
    "a lower version": edit(ENTRIES, lambda line: line["entry"]["versions"].pop(0)),
    "an entry dropped": without(ENTRIES),
    "a link dropped": without(3),
    "the first link dropped": without(1),
    "the last link dropped": without(12),
    "links swapped": swap(2, 3),
    "a statement changed": edit(4, set_statement(time="2026-03-01T09:00:04.000009Z")),
    "back-dated": edit(5, set_statement(time="2020-01-01T00:00:00Z")),
    "a signature changed": edit(4, lambda line: line["link"].update(signature="A" * 86)),
    "an unknown member": edit(4, set_statement(more=1)),
    "the head changed": edit(0, lambda line: line["head"].update(sequence=11)),
    "no head": edit(0, lambda line: line.update(head=None)),
    "the keys changed": edit(0, lambda line: line["keys"].pop()),
}


@pytest.mark.parametrize("name", CHANGED)
def test_both_implementations_find_the_same(name: str, tmp_path: Path) -> None:
    text = "\n".join(CHANGED[name]) + "\n"
    path = tmp_path / "diary.bundle"
    path.write_text(text, "utf-8")

    _, report = verify_bundle(path, check_signature, most_listed=100)
    others = check_bundle(text)

    assert report.chain is not None
    broken = report.chain.broken
    ours = None if broken is None else int(broken.removeprefix("link ").partition(":")[0])
    assert ours == others.first_broken
    assert {str(each.entry_id) for each in report.entries if not each.is_sound} == others.bad
    # Only entries with a problem are listed; the others are counted.
    assert report.totals.checked - report.totals.signed == len(others.unsigned)
    found = broken is not None or others.bad or others.unsigned
    assert bool(found) == (name != "nothing")


def test_a_statement_must_be_in_canonical_form() -> None:
    text = PUBLISHED["links"][0]["canonical"]

    assert read_statement(text).sequence == 1
    for other in (
        text + " ",
        text.replace(",", ", "),
        text.replace('"sequence":1', '"sequence":1.0'),
    ):
        with pytest.raises(ValueError, match=r"canonical|not a statement"):
            read_statement(other)


@pytest.mark.parametrize("text", ["A", "AB==", "A+", "A/", "Ä", "QQ=", "QR"])
def test_what_is_no_base64url_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # whatever the reason
        decode_base64url(text)
