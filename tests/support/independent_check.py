"""A second implementation of docs/signing.md, from that page alone.

It uses the standard library and `cryptography`, and nothing of diary_mcp. It tells of a bundle
what is wrong with it: the first broken link, and what is wrong with each entry.
"""

import base64
import hashlib
import json
import re
from collections.abc import Callable
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


def parse(text: str) -> Json:
    """JSON in which every reader finds the same. Raises: ValueError: it is none."""

    def refuse(_constant: str) -> float:
        raise ValueError("no number")

    def unique(pairs: list[tuple[str, object]]) -> Json:
        if len(dict(pairs)) != len(pairs):
            raise ValueError("a name is there twice")
        return dict(pairs)

    return json.loads(text, parse_constant=refuse, object_pairs_hook=unique)


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
    """Rules 1 to 14. Raises: ValueError: it is no bundle."""
    if not text.endswith("\n"):
        raise ValueError("the last line is not ended")
    header, *lines = [parse(line) for line in text.removesuffix("\n").split("\n")]
    kinds = [next(iter(line)) for line in lines]
    if kinds != sorted(kinds, reverse=True):
        raise ValueError("a link after an entry")
    links = [line["link"] for line in lines if "link" in line]
    entries = [line["entry"] for line in lines if "entry" in line]
    _refuse_repeated(entries)
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
    keys = _Keys(trusted)
    signed = _Signed(header["owner"])
    hashes: dict[int, str] = {}
    signers: set[str] = set()
    for number, link in enumerate(links, 1):
        statement = link["statement"]
        own_hash = hash_of(statement)
        problems = not is_statement(statement)
        if not problems:
            is_signed = is_signed_by(statement["key"], link["signature"], canonical(statement))
            signers |= {statement["key"]} if is_signed else set()
            problems = (
                statement["sequence"] != number
                or statement["owner"] != header["owner"]
                or statement["previous"] != previous
                or _moment(statement["time"]) < _moment(time)
                or not is_signed
                or (not found.broken and not keys.apply(statement))
                or not signed.follows(statement)
            )
        if problems or (head and head[0] == number and head[1] != own_hash):
            found.broken.append(number)
        if is_statement(statement):
            signed.note(statement, own_hash, is_valid=not found.broken)
            time = statement["time"]
        previous = hashes[number] = own_hash
    _check_end(header, hashes, found, head)
    if header["keys"] != _told_keys(links):
        found.broken.append(1)
    if trusted and not trusted & signers:
        found.broken.append(1)
    return signed


def is_statement(value: object) -> bool:
    """Whether the members are those of its act, each of its form."""
    if not isinstance(value, dict) or set(cast("Json", value)) != STATEMENT:
        return False
    statement = cast("Json", value)
    act = statement["act"]
    number = 2 if isinstance(statement["supersedes"], list) else 1
    if act not in MEMBERS or statement["format"] != f"diary-mcp/link/{number}":
        return False
    required, allowed = MEMBERS[act]
    given = {name for name in OF_SOME_ACTS if statement[name] is not None}
    return (
        required <= given <= required | allowed
        and (statement["previous"] is None) == (statement["sequence"] == 1)
        and all(
            FORMS[name](statement[name])
            for name in STATEMENT - {"act", "format"}
            if statement[name] is not None or name in ALWAYS
        )
    )


def _is_count(value: object) -> bool:
    return type(value) is int and 1 <= value < 2**53


def _is_like(pattern: str) -> Callable[[object], bool]:
    return lambda value: isinstance(value, str) and re.fullmatch(pattern, value) is not None


def _is_superseded(value: object) -> bool:
    if isinstance(value, list):
        several = cast("list[Json]", value)
        ids = [each["entry"] for each in several if _is_one_superseded(each)]
        return 1 < len(several) == len(ids) and ids == sorted(set(ids))
    return _is_one_superseded(value)


def _superseded(value: object) -> list[Any]:
    """None, one or several, as a list."""
    if isinstance(value, list):
        return cast("list[Any]", value)
    return [] if value is None else [value]


def _is_one_superseded(value: object) -> bool:
    if not isinstance(value, dict):
        return False
    said = cast("Json", value)
    return (
        set(said) == {"content_hash", "entry", "link"}
        and _IS_ID(said["entry"])
        and (said["link"] is None) != (said["content_hash"] is None)
        and _IS_HASH(said["link"] or said["content_hash"])
    )


_IS_HASH = _is_like(r"sha256:[0-9a-f]{64}")
_IS_KEY = _is_like(r"ed25519:[A-Za-z0-9_-]{43}")
_IS_ID = _is_like(r"[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}")
ALWAYS = {"owner", "sequence", "time", "key"}
OF_SOME_ACTS = {"entry", "version", "commitment", "supersedes", "origin", "subject"}
MEMBERS: dict[object, tuple[set[str], set[str]]] = {
    "write": ({"entry", "version", "commitment"}, {"supersedes"}),
    "import": ({"entry", "version", "commitment"}, {"supersedes", "origin"}),
    "delete": ({"entry", "version"}, {"commitment"}),
    "admit": ({"subject"}, set()),
    "revoke": ({"subject"}, set()),
}
FORMS: dict[str, Callable[[object], bool]] = {
    "owner": _is_like(r"[a-z0-9][a-z0-9._-]{0,63}"),
    "sequence": _is_count,
    "previous": _IS_HASH,
    "time": _is_like(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.(?!0{6})\d{6})?Z"),
    "key": _IS_KEY,
    "entry": _IS_ID,
    "version": _is_count,
    "commitment": _IS_HASH,
    "supersedes": _is_superseded,
    "origin": _IS_HASH,
    "subject": _IS_KEY,
}


@dataclass
class _Keys:
    trusted: frozenset[str]
    valid: set[str] = field(default_factory=set[str])
    known: set[str] = field(default_factory=set[str])

    def apply(self, statement: Json) -> bool:
        """`False` where the key may not sign this."""
        key, act, subject = statement["key"], statement["act"], statement["subject"]
        is_first = statement["sequence"] == 1
        if is_first:
            self._admit(key)
        if key not in self.valid and not (
            act == "admit" and subject == key and key in self.trusted
        ):
            return False
        if act == "admit" and not (is_first and subject == key):
            if subject in self.known:
                return False
            self._admit(subject)
        if act == "revoke":
            if subject not in self.valid:
                return False
            self.valid.discard(subject)
        return True

    def _admit(self, key: str) -> None:
        self.valid.add(key)
        self.known.add(key)


def _told_keys(links: list[Json]) -> list[Json]:
    """The key history by the chain's own word, in which every takeover counts."""
    periods: dict[str, Json] = {}
    subjects = {link["statement"].get("subject") for link in links}
    keys = _Keys(frozenset(subject for subject in subjects if isinstance(subject, str)))
    for link in links:
        statement = link["statement"]
        if not is_statement(statement):
            continue
        keys.apply(statement)
        number, time = statement["sequence"], statement["time"]
        for key in (statement["key"], statement["subject"]):
            if key in keys.known and key not in periods:
                periods[key] = {
                    "key": key,
                    "admitted": number,
                    "admitted_at": time,
                    "revoked": None,
                    "revoked_at": None,
                }
        for key in periods.keys() - keys.valid:
            if periods[key]["revoked"] is None:
                periods[key] |= {"revoked": number, "revoked_at": time}
    return list(periods.values())


def _refuse_repeated(entries: list[Json]) -> None:
    ids = [entry["id"] for entry in entries]
    keys = [entry["key"] for entry in entries if entry["key"] is not None]
    for names in (ids, keys):
        if len(set(names)) != len(names):
            raise ValueError("an entry is there twice")


@dataclass
class _Signed:
    """What the chain says of each entry: its last link, and the commitment to each version."""

    owner: str
    last: dict[str, tuple[Json, bool]] = field(default_factory=dict[str, tuple[Json, bool]])
    hashes: dict[str, str] = field(default_factory=dict[str, str])
    commitments: dict[str, dict[int, str | None]] = field(
        default_factory=dict[str, dict[int, str | None]]
    )

    def follows(self, statement: Json) -> bool:
        """Whether a link fits what was said of its entry, and of the one that it supersedes."""
        entry_id = statement["entry"]
        for superseded in _superseded(statement["supersedes"]):
            if self.hashes.get(superseded["entry"]) not in {None, superseded["link"]}:
                return False
        if entry_id is None:
            return True
        if self.is_gone(entry_id):
            return statement["act"] != "delete" or statement["commitment"] is None
        before = self.last[entry_id][0]
        if statement["act"] == "delete":
            names = ("version", "commitment")
            return all(statement[name] == before[name] for name in names)
        return statement["version"] >= before["version"]

    def note(self, statement: Json, own_hash: str, *, is_valid: bool) -> None:
        entry_id = statement["entry"]
        if entry_id is None:
            return
        if self.is_gone(entry_id):
            self.commitments[entry_id] = {}
        self.commitments[entry_id][statement["version"]] = statement["commitment"]
        self.last[entry_id] = (statement, is_valid)
        self.hashes[entry_id] = own_hash

    def is_gone(self, entry_id: str | None) -> bool:
        return entry_id not in self.last or self.last[entry_id][0]["act"] == "delete"


def _check_end(
    header: Json, hashes: dict[int, str], found: Findings, head: tuple[int, str] | None
) -> None:
    end = max(hashes, default=0)
    told = header["head"]
    if (told and (told["sequence"], told["hash"])) != ((end, hashes[end]) if end else None):
        found.broken.append(end + 1)
    if head is not None and head[0] > end:
        found.broken.append(end + 1)


def _check_entry(entry: Json, signed: _Signed, found: Findings) -> None:
    entry_id, present = entry["id"], entry["versions"][0]
    if content_hash(entry_id, entry["owner"], present) != present["content_hash"]:
        found.bad.add(entry_id)
    if entry["owner"] == signed.owner:
        _check_signed(entry, signed, found)
    else:
        found.bad.add(entry_id)


def _check_signed(entry: Json, signed: _Signed, found: Findings) -> None:
    entry_id, present = entry["id"], entry["versions"][0]
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
    numbers = [version["version"] for version in entry["versions"]]
    hashes_are_right = all(
        each["content_hash"] == content_hash(entry["id"], entry["owner"], each) for each in earlier
    )
    are_in_order = numbers == sorted(set(numbers), reverse=True)
    return (
        are_in_order
        and hashes_are_right
        and all(
            number in history and commitment(entry, history[number]) == expected
            for number, expected in signed.commitments[entry["id"]].items()
            if number < present["version"]
        )
    )


def _is_what_was_signed(entry: Json, statement: Json, signed: _Signed) -> bool:
    claimed = {each["entry"] for each in _superseded(statement["supersedes"])}
    present = set(_superseded(entry["supersedes"]))
    return (
        statement["commitment"] == commitment(entry, entry["versions"][0])
        and present <= claimed
        and all(signed.is_gone(missing) for missing in claimed - present)
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
