"""Bundles as an attacker leaves them: two implementations agree, and nothing passes as sound.

The attacker holds the file and keys of his own, and none of the owner's.
"""

import json
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from diary_mcp.domain.errors import InvalidArgumentError
from diary_mcp.files.bundle_check import verify_bundle
from diary_mcp.keys.ed25519 import PrivateKey, check_signature
from support.clients import Json
from support.independent_check import canonical, check_bundle, commitment, content_hash, hash_of
from support.signing_vectors import VERSIONS, Builder, bundle_of, entry_id

Lines = list[str]
Outcome = tuple[int | None, frozenset[str], int] | str
STRANGER = PrivateKey(Ed25519PrivateKey.from_private_bytes(bytes(range(64, 96))))
SOUND = (None, frozenset[str]())


class History:
    """A diary that grows by steps, each of which is left out where it cannot be."""

    def __init__(self) -> None:
        self.chain = Builder()
        self.valid: list[int] = [0]
        self.known: set[int] = {0}
        self.superseded: set[int] = set()

    def take(self, step: tuple[str, int]) -> None:
        act, number = step
        own = 1 + number % 5
        by = self.valid[number % len(self.valid)]
        is_there = entry_id(own) in self.chain.entries
        match act:
            case "write" | "import" as action:
                self.chain.write(
                    own,
                    VERSIONS[number % 7],
                    act="import" if action == "import" else "write",
                    by=by,
                )
            case "supersede" if not is_there and entry_id(own % 5 + 1) in self.chain.entries:
                other = own % 5 + 1
                if other not in self.superseded and entry_id(other) in self.chain.last:
                    self.superseded.add(other)
                    self.chain.write(own, VERSIONS[number % 7], by=by, supersedes=[other])
            case "write unsigned":
                self.chain.write_unsigned(own, VERSIONS[number % 7])
            case "delete" if is_there and entry_id(own) in self.chain.last:
                self.superseded.discard(own)
                self.chain.delete(own, by=by)
            case "admit" if self.known == {0} and self.chain.links:
                self.known.add(1)
                self.valid.append(1)
                self.chain.say("admit", by=by, subject=self.chain.keys[1].public_key)
            case "revoke" if len(self.valid) == 2:
                gone = self.valid.pop(number % 2)
                self.chain.say("revoke", by=by, subject=self.chain.keys[gone].public_key)
            case _:
                pass


STEPS = st.tuples(
    st.sampled_from(["write", "write", "write", "import", "supersede", "write unsigned", "delete",
                     "admit", "revoke"]),
    st.integers(0, 30),
)  # fmt: skip
HISTORIES = st.lists(STEPS, min_size=1, max_size=14)


def grow(steps: list[tuple[str, int]]) -> Lines:
    history = History()
    history.chain.write(1, VERSIONS[0])
    for step in steps:
        history.take(step)
    return bundle_of(history.chain)


def swap_lines(lines: Lines, chance: random.Random) -> Lines:
    first, second = chance.randrange(len(lines)), chance.randrange(len(lines))
    lines[first], lines[second] = lines[second], lines[first]
    return lines


def drop_line(lines: Lines, chance: random.Random) -> Lines:
    del lines[chance.randrange(1, len(lines))]
    return lines


def repeat_line(lines: Lines, chance: random.Random) -> Lines:
    lines.insert(chance.randrange(len(lines) + 1), chance.choice(lines))
    return lines


def repeat_name(lines: Lines, chance: random.Random) -> Lines:
    number = chance.randrange(len(lines))
    name = chance.choice(list(json.loads(lines[number])))
    value = json.dumps(json.loads(lines[number])[name])
    lines[number] = lines[number].replace("{", f'{{"{name}": {value}, ', 1)
    return lines


def change_value(lines: Lines, chance: random.Random) -> Lines:
    """One value anywhere, by another that fits its type or by null."""
    number = chance.randrange(len(lines))
    value = json.loads(lines[number])
    holder, name = chance.choice(list(_places(value)))
    before = holder[name]
    choices: list[object] = [None, 1, 2, "x", [], {}, "2026-03-01T09:00:01Z", "alice", True, 0.5]
    others = [line for line in map(json.loads, lines) for line in _places(line)]
    choices += [where[at] for where, at in others if at == name]
    holder[name] = chance.choice([choice for choice in choices if choice != before] or [None])
    lines[number] = json.dumps(value, ensure_ascii=False)
    return lines


def _places(value: object) -> list[tuple[Json, str]]:
    found: list[tuple[Json, str]] = []
    if isinstance(value, dict):
        members = cast("Json", value)
        for name, inner in members.items():
            found += [(members, name), *_places(inner)]
    return found


def put_back_older_version(lines: Lines, chance: random.Random) -> Lines:
    """The present version of an entry is taken away, where it has several."""
    del chance
    for number, line in enumerate(lines):
        value = json.loads(line)
        if "entry" in value and len(value["entry"]["versions"]) > 1:
            del value["entry"]["versions"][0]
            lines[number] = json.dumps(value, ensure_ascii=False)
            break
    return lines


def hide_newer_links(lines: Lines, chance: random.Random) -> Lines:
    """The links after an entry's place are moved behind the entry, which is an older version."""
    changed = put_back_older_version(lines, chance)
    entries = [line for line in changed if '"entry": {"created_at"' in line]
    links = [line for line in changed[1:] if line not in entries]
    cut = chance.randrange(len(links) + 1)
    return [changed[0], *links[:cut], *entries, *links[cut:]]


def take_over(lines: Lines, chance: random.Random) -> Lines:
    """The stranger admits his own key, writes an entry anew with it, and mends head and keys."""
    header = json.loads(lines[0])
    links = [json.loads(line)["link"] for line in lines if '"link": {' in line[:12]]
    entries = [json.loads(line) for line in lines if '"entry": {' in line[:12]]
    blank = dict.fromkeys(("commitment", "entry", "origin", "subject", "supersedes", "version"))
    last = links[-1]["statement"]
    admit = blank | {"act": "admit", "subject": STRANGER.public_key}
    if chance.random() < 0.3:
        # A claim to be the first link of all, whose key needs nobody.
        admit |= {"sequence": 1, "previous": None}
    said = [admit]
    if entries:
        victim = chance.choice(entries)["entry"]
        version = victim["versions"][0]
        version["content"] = "forged"
        version["salt"] = "A" * 22
        version["content_hash"] = content_hash(victim["id"], victim["owner"], version)
        said.append(
            blank
            | {
                "act": "write",
                "entry": victim["id"],
                "version": version["version"],
                "commitment": commitment(victim, version),
            }
        )
    for members in said:
        statement = {
            "format": "diary-mcp/link/1",
            "key": STRANGER.public_key,
            "owner": header["owner"],
            "previous": hash_of(links[-1]["statement"]),
            "sequence": len(links) + 1,
            "time": last["time"],
        } | members
        signature = STRANGER.sign(canonical(statement))
        links.append({"statement": statement, "signature": signature})
    header["head"] = {"sequence": len(links), "hash": hash_of(links[-1]["statement"])}
    header["keys"].append(
        {
            "key": STRANGER.public_key,
            "admitted": len(links) - len(said) + 1,
            "admitted_at": last["time"],
            "revoked": None,
            "revoked_at": None,
        }
    )
    parts = [header, *({"link": link} for link in links), *entries]
    return [json.dumps(part, ensure_ascii=False) for part in parts]


ATTACKS: list[Callable[[Lines, random.Random], Lines]] = [
    swap_lines,
    drop_line,
    repeat_line,
    repeat_name,
    change_value,
    change_value,
    put_back_older_version,
    hide_newer_links,
    take_over,
]


NEVER_SOUND = {repeat_line, repeat_name, take_over}


def ours(text: str, path: Path) -> Outcome:
    path.write_text(text, "utf-8")
    try:
        _, report = verify_bundle(path, check_signature, most_listed=1_000)
    except InvalidArgumentError:
        return "refused"
    assert report.chain is not None
    broken = report.chain.broken
    return (
        None if broken is None else int(broken.removeprefix("link ").partition(":")[0]),
        frozenset(str(each.entry_id) for each in report.entries if not each.is_sound),
        report.totals.checked - report.totals.signed,
    )


def theirs(text: str) -> Outcome:
    try:
        found = check_bundle(text)
    except (ValueError, LookupError, TypeError, AttributeError):
        return "refused"
    return found.first_broken, frozenset(found.bad), len(found.unsigned)


def is_sound(outcome: Outcome) -> bool:
    return outcome[:2] == SOUND


@settings(max_examples=25, deadline=None, derandomize=True)
@given(steps=HISTORIES)
def test_both_find_an_honest_history_sound(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]]
) -> None:
    text = "\n".join(grow(steps)) + "\n"

    found = ours(text, tmp_path_factory.getbasetemp() / "honest.bundle")

    assert is_sound(found)
    assert found == theirs(text)


@settings(max_examples=80, deadline=None, derandomize=True)
@given(
    steps=HISTORIES,
    attacks=st.lists(st.sampled_from(ATTACKS), min_size=1, max_size=2),
    seed=st.integers(0, 2**32),
)
def test_both_find_the_same_of_an_attacked_history(
    tmp_path_factory: pytest.TempPathFactory,
    steps: list[tuple[str, int]],
    attacks: list[Callable[[Lines, random.Random], Lines]],
    seed: int,
) -> None:
    lines = grow(steps)
    chance = random.Random(seed)  # chance is all it is for
    for attack in attacks:
        lines = attack(lines, chance)
    text = "\n".join(lines) + "\n"

    found, others = ours(text, tmp_path_factory.getbasetemp() / "attacked.bundle"), theirs(text)

    # The page's own checker does not look at members that are only for readers.
    assert found in (others, "refused")
    if NEVER_SOUND.intersection(attacks):
        assert not is_sound(found)


RESPELT = {
    "capitals": (r'(?<="id": ")01a209f7', "01A209F7"),
    "urn": (r'"id": "', '"id": "urn:uuid:'),
    "offset": (r'("created_at": "[^"]*)Z"', r'\1+00:00"'),
    "fraction": (r'("created_at": "[^".]*)Z"', r'\1.000000Z"'),
    "null": (r'"key": null', '"diary": null, "key": null'),
    "CRLF": (r"$", "\r"),
    "indented": (r"^", " "),
}


@pytest.mark.parametrize(("said", "instead"), RESPELT.values(), ids=RESPELT)
def test_a_bundle_whose_entries_are_spelt_otherwise_is_refused(
    tmp_path: Path, said: str, instead: str
) -> None:
    *before, last = grow([("write", 2), ("write", 9)])
    respelt = re.sub(said, instead, last)

    assert respelt != last
    assert ours("\n".join([*before, respelt, ""]), tmp_path / "respelt.bundle") == "refused"
