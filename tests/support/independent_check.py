"""A second implementation of docs/signing.md, from that page alone.

It uses the standard library and `cryptography`, and nothing of diary_mcp. It tells of a bundle
what is wrong with it: the first broken link, and what is wrong with each entry.
"""

import base64
import hashlib
import json
from dataclasses import dataclass, field
from typing import Any, cast

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

Json = dict[str, Any]
STATEMENT = {
    "format", "act", "owner", "sequence", "previous", "time", "key", "entry", "version",
    "commitment", "supersedes", "origin", "subject",
}  # fmt: skip
CONTENT = ("author", "content", "date", "importance", "session", "tags", "title", "type", "version")


def canonical(value: object) -> bytes:
    """RFC 8785."""
    return _text(value).encode()


def hash_of(value: object) -> str:
    return "sha256:" + hashlib.sha256(canonical(value)).hexdigest()


def content_hash(entry_id: str, owner: str, version: Json) -> str:
    return hash_of({"id": entry_id, "owner": owner} | {name: version[name] for name in CONTENT})


def commitment(entry: Json, version: Json) -> str | None:
    """What a link must say of this version; nothing fits one that has no salt."""
    if version["salt"] is None:
        return None
    return hash_of(
        {
            "content_hash": content_hash(entry["id"], entry["owner"], version),
            "created_at": entry["created_at"],
            "key": entry["key"],
            "salt": version["salt"],
            "updated_at": version["updated_at"],
        }
    )


def is_signed_by(key: str, signature: str, message: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(_bytes(key.removeprefix("ed25519:"))).verify(
            _bytes(signature), message
        )
    except (InvalidSignature, ValueError):
        return False
    return True


@dataclass
class Findings:
    """What a check found."""

    broken: list[int] = field(default_factory=list[int])
    """Sequences at which a rule fails."""
    bad: set[str] = field(default_factory=set[str])
    unsigned: set[str] = field(default_factory=set[str])

    @property
    def first_broken(self) -> int | None:
        return min(self.broken, default=None)


def check_bundle(
    text: str, *, head: tuple[int, str] | None = None, trusted: frozenset[str] = frozenset()
) -> Findings:
    """Rules 1 to 14."""
    header, *lines = [json.loads(line) for line in text.split("\n") if line]
    links = [line["link"] for line in lines if "link" in line]
    entries = [line["entry"] for line in lines if "entry" in line]
    found = Findings()
    signed = _check_chain(header, links, found, head, trusted)
    for entry in entries:
        _check_entry(entry, signed, found)
    present = {entry["id"] for entry in entries}
    found.bad |= {
        entry_id
        for entry_id, (statement, _) in signed.last.items()
        if statement["act"] != "delete" and entry_id not in present
    }
    return found


def _check_chain(
    header: Json,
    links: list[Json],
    found: Findings,
    head: tuple[int, str] | None,
    trusted: frozenset[str],
) -> "_Signed":
    previous: str | None = None
    time = ""
    valid: set[str] = set()
    known: set[str] = set()
    signed = _Signed()
    hashes: dict[int, str] = {}
    signers: set[str] = set()
    for number, link in enumerate(links, 1):
        statement = link["statement"]
        if set(statement) != STATEMENT:
            found.broken.append(number)
            previous = hashes[number] = hash_of(statement)
            continue
        problems = [
            statement["sequence"] != number,
            statement["owner"] != header["owner"],
            statement["previous"] != previous,
            _moment(statement["time"]) < _moment(time),
        ]
        is_valid = is_signed_by(statement["key"], link["signature"], canonical(statement))
        if is_valid:
            signers.add(statement["key"])
            is_valid = _apply_keys(statement, valid, known, trusted)
        if any(problems) or not is_valid:
            found.broken.append(number)
        if not signed.note(statement, is_valid=is_valid):
            found.broken.append(number)
        previous, time = hash_of(statement), statement["time"]
        hashes[number] = previous
    _check_end(header, hashes, found, head)
    if trusted and not trusted & signers:
        found.broken.append(1)
    return signed


def _apply_keys(statement: Json, valid: set[str], known: set[str], trusted: frozenset[str]) -> bool:
    key, subject = statement["key"], statement["subject"]
    is_first = statement["sequence"] == 1
    if is_first:
        valid.add(key)
        known.add(key)
    is_takeover = statement["act"] == "admit" and subject == key
    is_valid = key in valid or (is_takeover and key in trusted)
    if key not in valid and not is_takeover:
        return False
    if statement["act"] == "admit" and not (is_first and subject == key):
        if subject is None or subject in known:
            return False
        valid.add(subject)
        known.add(subject)
    if statement["act"] == "revoke":
        if subject not in valid:
            return False
        valid.discard(subject)
    return is_valid


@dataclass
class _Signed:
    """What the chain says of each entry: its last link, and the commitment to each version."""

    last: dict[str, tuple[Json, bool]] = field(default_factory=dict[str, tuple[Json, bool]])
    commitments: dict[str, dict[int, str | None]] = field(
        default_factory=dict[str, dict[int, str | None]]
    )

    def note(self, statement: Json, *, is_valid: bool) -> bool:
        """`False` where the entry goes back to an earlier version."""
        entry_id = statement["entry"]
        if entry_id is None:
            return True
        before = self.last.get(entry_id)
        follows = True
        if before is None or before[0]["act"] == "delete":
            self.commitments[entry_id] = {}
        else:
            follows = statement["version"] >= before[0]["version"]
        self.commitments[entry_id][statement["version"]] = statement["commitment"]
        self.last[entry_id] = (statement, is_valid)
        return follows

    def is_gone(self, entry_id: str | None) -> bool:
        return entry_id not in self.last or self.last[entry_id][0]["act"] == "delete"


def _check_end(
    header: Json, hashes: dict[int, str], found: Findings, head: tuple[int, str] | None
) -> None:
    end = max(hashes, default=0)
    told = header["head"]
    if (told and (told["sequence"], told["hash"])) != ((end, hashes[end]) if end else None):
        found.broken.append(end + 1)
    if head is not None and hashes.get(head[0]) != head[1]:
        found.broken.append(min(head[0], end + 1))


def _check_entry(entry: Json, signed: _Signed, found: Findings) -> None:
    entry_id, present = entry["id"], entry["versions"][0]
    if content_hash(entry_id, entry["owner"], present) != present["content_hash"]:
        found.bad.add(entry_id)
    if entry_id not in signed.last:
        found.unsigned.add(entry_id)
        return
    statement, is_valid = signed.last[entry_id]
    if statement["act"] == "delete":
        is_new = _moment(entry["created_at"]) > _moment(statement["time"])
        (found.unsigned if is_new else found.bad).add(entry_id)
        return
    is_right = _history_is_right(entry, signed)
    if statement["version"] == present["version"]:
        is_right &= is_valid and _is_what_was_signed(entry, statement, signed)
    elif statement["version"] > present["version"]:
        is_right = False
    elif is_right:
        found.unsigned.add(entry_id)
    if not is_right:
        found.bad.add(entry_id)


def _history_is_right(entry: Json, signed: _Signed) -> bool:
    present, *earlier = entry["versions"]
    history = {version["version"]: version for version in earlier}
    return all(
        number in history and commitment(entry, history[number]) == expected
        for number, expected in signed.commitments[entry["id"]].items()
        if number < present["version"]
    )


def _is_what_was_signed(entry: Json, statement: Json, signed: _Signed) -> bool:
    claimed = statement["supersedes"] and statement["supersedes"]["entry"]
    return (
        statement["owner"] == entry["owner"]
        and statement["commitment"] == commitment(entry, entry["versions"][0])
        and (
            claimed == entry["supersedes"]
            or (entry["supersedes"] is None and signed.is_gone(claimed))
        )
    )


def _moment(time: str) -> tuple[str, str]:
    """Times in UTC compare as text, with their fraction filled up."""
    seconds, _, fraction = time.removesuffix("Z").partition(".")
    return seconds, fraction.ljust(6, "0")


def _bytes(text: str) -> bytes:
    raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if base64.urlsafe_b64encode(raw).rstrip(b"=").decode() != text:
        raise ValueError("not base64url")
    return raw


def _text(value: object) -> str:
    if isinstance(value, dict):
        members = cast("dict[str, object]", value)
        names = sorted(members, key=lambda name: name.encode("utf-16-be"))
        return "{" + ",".join(f"{_text(name)}:{_text(members[name])}" for name in names) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_text, cast("list[object]", value))) + "]"
    if isinstance(value, float):
        return _number(value)
    # null, truth values, integers and strings are as JSON.stringify writes them.
    return json.dumps(value, ensure_ascii=False)


def _number(value: float) -> str:
    """A number as ECMAScript writes it: the shortest digits, placed by its rules."""
    if value == 0:
        return "0"
    if value < 0:
        return "-" + _number(-value)
    mantissa, _, exponent = f"{value!r}".partition("e")
    whole, _, fraction = mantissa.partition(".")
    fraction = "" if fraction == "0" else fraction
    point = len(whole) + int(exponent or 0)
    digits = (whole + fraction).lstrip("0")
    point -= len(whole + fraction) - len(digits)
    digits = digits.rstrip("0")
    if len(digits) <= point <= 21:
        return digits + "0" * (point - len(digits))
    if 0 < point <= 21:
        return f"{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return "0." + "0" * -point + digits
    tail = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{digits[0]}{tail}e{'+' if point > 0 else '-'}{abs(point - 1)}"
