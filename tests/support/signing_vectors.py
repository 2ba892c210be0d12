"""The published test vectors of docs/signing.md; run as a script, it writes them anew.

Everything in them is fixed: key, salts and times. The key is published, so never use it.
"""

import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import rfc8785
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from diary_mcp.domain.chain import (
    LINK_FORMAT,
    LIST_FORMAT,
    Act,
    Opening,
    PublicKey,
    Statement,
    SupersededEntry,
    as_said,
)
from diary_mcp.domain.fields import AgentName, EntryId
from diary_mcp.domain.version import Version, content_hash
from diary_mcp.keys.ed25519 import PrivateKey
from diary_mcp.service.chain.statements import canonical, commit, hash_bytes
from support.clients import Json
from support.paths import ROOT

VECTORS = ROOT / "docs" / "signing_vectors.json"
OWNER = AgentName("alice")
START = datetime(2026, 3, 1, 9, tzinfo=UTC)
SEEDS = (bytes(range(32)), bytes(range(32, 64)))
VERSIONS: list[Json] = [
    {"content": "Plain text.", "importance": 0.5, "title": None, "tags": []},
    {"content": "Line\nline\r\nline\u2028line\ttab\x7f\x01 end\n", "importance": 1.0,
     "title": 'quotes " and \\', "tags": ["a", "b"]},
    {"content": "Grüße, 日本語, \U0001f98a, e\u0301 is not é, \ufffd, \u200d", "importance": 1e-07,
     "title": "\U0001f98a\ufb33", "tags": ["ünï", "\U0001f600"]},
    {"content": "small", "importance": 5e-324, "title": "", "tags": ["z", "a"]},
    {"content": "x", "importance": 0.1 + 0.2, "title": "0.30000000000000004", "tags": ["3"]},
    {"content": "nothing matters", "importance": 0.0, "title": "zero", "tags": ["0"]},
    {"content": "---\nlooks: like front matter\n---\n", "importance": 0.000001, "title": "t",
     "tags": ["x" * 64]},
    {"content": "latest", "importance": 0.9999999999999999, "title": "v", "tags": [],
     "version": 9007199254740991, "session": "02", "author": "model ü"},
]  # fmt: skip
VALUES: list[object] = [
    0, 1, -1, 9007199254740991, 0.0, 1.0, 0.1, 1e-06, 1e-07, 5e-324, 1.7976931348623157e308,
    1e21, 1e20, 123456789.125, 0.30000000000000004, None, True, False, "", "\u0000\u001f\u007f",
    '\b\t\n\f\r"\\/', "\u2028\u2029", "é", "e\u0301", "\U0001f98a", [], [1, [2]], {},
    {"\U0001f600": 1, "\ufb33": 2, "\r": 3, "1": 4, "\u00f6": 5, "\u20ac": 6, "\u0080": 7},
]  # fmt: skip


def entry_id(number: int) -> EntryId:
    return EntryId(UUID(int=(0x01A209F7_3236_7000_8000 << 48) + number))


class Builder:
    """A chain with everything in it, made of fixed parts."""

    def __init__(self) -> None:
        self.keys = [PrivateKey(Ed25519PrivateKey.from_private_bytes(seed)) for seed in SEEDS]
        self.links: list[Json] = []
        self.entries: dict[EntryId, Json] = {}
        self.last: dict[EntryId, Json] = {}

    def say(self, act: Act, *, by: int = 0, **members: object) -> Json:
        number = len(self.links) + 1
        previous = self.links[-1]["hash"] if self.links else None
        several = isinstance(members.get("supersedes"), tuple)
        blank: Json = dict.fromkeys(
            ("commitment", "entry", "origin", "subject", "supersedes", "version")
        )
        statement = Statement.model_validate(
            blank
            | {
                "act": act,
                "format": LIST_FORMAT if several else LINK_FORMAT,
                "key": self.keys[by].public_key,
                "owner": OWNER,
                "previous": previous,
                "sequence": number,
                "time": START + timedelta(seconds=number, microseconds=number % 3),
            }
            | members
        )
        form = canonical(statement)
        link = {
            "statement": statement.model_dump(mode="json"),
            "canonical": form.decode(),
            "hash": hash_bytes(form),
            "signature": self.keys[by].sign(form),
        }
        self.links.append(link)
        return link

    def write(
        self,
        number: int,
        values: Json,
        *,
        act: Act = "write",
        by: int = 0,
        supersedes: Sequence[int] = (),
        origin: str | None = None,
    ) -> None:
        own_id = entry_id(number)
        entry = self.entries.setdefault(
            own_id, {"key": None if number % 2 else f"key-{number}", "versions": []}
        )
        version = self._version(own_id, entry["versions"], values)
        known = [
            SupersededEntry(content_hash=None, entry=older, link=self.last[older]["hash"])
            for older in map(entry_id, supersedes)
        ]
        opening = Opening(
            created_at=START, key=entry["key"], salt=version["salt"], updated_at=version["updated"]
        )
        self.last[own_id] = self.say(
            act,
            by=by,
            entry=own_id,
            version=version["version"],
            commitment=commit(version["content_hash"], opening),
            supersedes=as_said(known),
            origin=origin,
        )
        version["opening"] = opening.model_dump(mode="json")
        version["commitment"] = self.last[own_id]["statement"]["commitment"]
        entry["supersedes"] = said_ids([each.entry for each in known])
        entry["versions"].insert(0, version)

    def write_unsigned(self, number: int, values: Json) -> None:
        """A version that waits for its signature."""
        own_id = entry_id(number)
        entry = self.entries.setdefault(
            own_id,
            {"key": None if number % 2 else f"key-{number}", "versions": [], "supersedes": None},
        )
        version = self._version(own_id, entry["versions"], values)
        entry["versions"].insert(0, version | {"salt": None})

    def delete(self, number: int, *, by: int = 0) -> None:
        own_id = entry_id(number)
        said = self.last[own_id]["statement"]
        self.last[own_id] = self.say(
            "delete",
            by=by,
            entry=own_id,
            version=said["version"],
            commitment=said["commitment"],
        )
        del self.entries[own_id]

    def _version(self, own_id: EntryId, earlier: list[Json], values: Json) -> Json:
        number = values.get("version", len(earlier) + 1)
        fields: Json = {
            "author": "model-1",
            "session": None,
            "type": "note",
            "date": START - timedelta(days=400, microseconds=number),
            **values,
            "version": number,
        }
        salt = f"{len(self.links):022d}".replace("0", "A")[:21] + "A"
        updated = START + timedelta(seconds=len(self.links), microseconds=7)
        version = Version(**fields, id=own_id, owner=OWNER, updated_at=updated, content_hash="")
        computed = content_hash(version)
        return {**fields, "content_hash": computed, "salt": salt, "updated": updated}


def build() -> Builder:
    chain = Builder()
    for number, values in enumerate(VERSIONS[:5], 1):
        chain.write(number, values)
    chain.write(6, VERSIONS[5], supersedes=[2])
    chain.say("admit", subject=chain.keys[1].public_key)
    chain.write(1, VERSIONS[6], by=1)
    chain.say("revoke", by=1, subject=chain.keys[0].public_key)
    chain.write(7, VERSIONS[1], act="import", by=1, origin=hash_bytes(b"what a file said"))
    chain.write(3, VERSIONS[7], by=1)
    chain.delete(2, by=1)
    chain.entries[entry_id(6)]["supersedes"] = None
    chain.write(8, VERSIONS[2], by=1, supersedes=[4, 5])
    return chain


def said_ids(superseded: Sequence[EntryId]) -> list[str] | str | None:
    """What an entry's line says that it supersedes."""
    ids = [str(older) for older in superseded]
    return ids if len(ids) > 1 else next(iter(ids), None)


def bundle_of(chain: Builder) -> list[str]:
    """The lines of a bundle of the chain."""
    begin: dict[PublicKey, int] = {chain.keys[0].public_key: 1}
    end: dict[PublicKey, int] = {}
    for link in chain.links:
        statement = link["statement"]
        if statement["act"] == "admit":
            begin[statement["subject"]] = statement["sequence"]
        if statement["act"] == "revoke":
            end[statement["subject"]] = statement["sequence"]
    periods = tuple((key, number, end.get(key)) for key, number in begin.items())
    return [json.dumps(part, ensure_ascii=False) for part in _parts(chain, periods)]


def _parts(chain: Builder, periods: tuple[tuple[PublicKey, int, int | None], ...]) -> list[Json]:
    end = chain.links[-1]

    def time(number: int | None) -> str | None:
        return None if number is None else chain.links[number - 1]["statement"]["time"]

    header = {
        "exported_at": "2026-03-02T00:00:00Z",
        "format": "diary-mcp/bundle/1",
        "head": {"sequence": len(chain.links), "hash": end["hash"]},
        "keys": [
            {
                "key": key,
                "admitted": admitted,
                "admitted_at": time(admitted),
                "revoked": revoked,
                "revoked_at": time(revoked),
            }
            for key, admitted, revoked in periods
        ],
        "owner": OWNER,
    }
    links = [
        {"link": {"signature": link["signature"], "statement": link["statement"]}}
        for link in chain.links
    ]
    return [header, *links, *({"entry": each} for each in _entries(chain))]


def _entries(chain: Builder) -> list[Json]:
    return [
        {
            "created_at": "2026-03-01T09:00:00Z",
            "id": str(own_id),
            "key": entry["key"],
            "owner": OWNER,
            "state": "signed",
            "supersedes": entry["supersedes"],
            "versions": [_plain(version) for version in entry["versions"]],
        }
        for own_id, entry in chain.entries.items()
    ]


def _plain(version: Json) -> Json:
    names = ("author", "content", "content_hash", "importance", "salt", "session", "tags", "title",
             "type", "version")  # fmt: skip
    return {
        **{name: version[name] for name in names},
        "date": _time(version["date"]),
        "updated_at": _time(version["updated"]),
    }


def _time(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def _statements(chain: Builder) -> list[Json]:
    """Statements that are none, each for one reason, and well signed."""
    write = chain.links[0]["statement"]
    supersedes = chain.links[5]["statement"]
    admit = chain.links[6]["statement"]
    imported = chain.links[9]["statement"]
    deletion = chain.links[11]["statement"]
    several = chain.links[12]["statement"]
    key, link_hash = admit["subject"], write["commitment"]
    said: list[tuple[str, Json, Json]] = [
        ("a write with a subject", write, {"subject": key}),
        ("a write with an origin", write, {"origin": link_hash}),
        ("a write without a commitment", write, {"commitment": None}),
        ("a write without a version", write, {"version": None}),
        ("a write of nothing", write, {"entry": None}),
        ("an import with a subject", imported, {"subject": key}),
        ("a deletion that supersedes", deletion, {"supersedes": supersedes["supersedes"]}),
        ("a deletion with an origin", deletion, {"origin": link_hash}),
        ("an admission about an entry", admit, {"entry": write["entry"]}),
        ("an admission with a version", admit, {"version": 1}),
        ("an admission with a commitment", admit, {"commitment": link_hash}),
        ("an admission of nobody", admit, {"subject": None}),
        ("an unknown act", write, {"act": "approve"}),
        ("another format", write, {"format": "diary-mcp/link/2"}),
        ("a first link with a previous one", write, {"previous": link_hash}),
        ("a later link without a previous one", imported, {"previous": None}),
        ("sequence 0", write, {"sequence": 0}),
        ("a version that is no integer", write, {"version": "1"}),
        ("a version that is true", write, {"version": True}),
        ("a time with an offset", write, {"time": "2026-03-01T10:00:01+01:00"}),
        ("a time with three digits", write, {"time": "2026-03-01T09:00:01.000Z"}),
        ("an id in capitals", write, {"entry": str(write["entry"]).upper()}),
        ("a hash of another kind", write, {"commitment": "sha512:00"}),
        ("an owner in capitals", write, {"owner": "Alice"}),
        (
            "superseding by two hashes",
            supersedes,
            {"supersedes": {**supersedes["supersedes"], "content_hash": link_hash}},
        ),
        (
            "superseding by no hash",
            supersedes,
            {"supersedes": {**supersedes["supersedes"], "link": None}},
        ),
        ("several superseded in the first format", several, {"format": "diary-mcp/link/1"}),
        ("one superseded in a list", several, {"supersedes": several["supersedes"][:1]}),
        ("none superseded in a list", several, {"supersedes": []}),
        ("several superseded out of order", several, {"supersedes": several["supersedes"][::-1]}),
        ("one superseded twice", several, {"supersedes": several["supersedes"][:1] * 2}),
        ("a member more", write, {"more": None}),
    ]
    return [
        {
            "why": why,
            "statement": statement | changed,
            "signature": chain.keys[0].sign(rfc8785.dumps(statement | changed)),
        }
        for why, statement, changed in said
    ]


def vectors() -> Json:
    """The whole file."""
    chain = build()
    return {
        "about": "Test vectors of docs/signing.md. The keys are published: never use them.",
        "canonical": [
            {
                "value": value,
                "canonical": rfc8785.dumps(value).decode(),  # pyright: ignore[reportArgumentType]
                "hash": hash_bytes(rfc8785.dumps(value)),  # pyright: ignore[reportArgumentType]
            }
            for value in VALUES
        ],
        "keys": [
            {"seed": seed.hex(), "public_key": key.public_key}
            for seed, key in zip(SEEDS, chain.keys, strict=True)
        ],
        "entries": [
            {
                "entry": {
                    "id": str(own_id),
                    "owner": OWNER,
                    **{
                        name: value
                        for name, value in _plain(version).items()
                        if name not in {"salt", "updated_at", "content_hash"}
                    },
                },
                "content_hash": version["content_hash"],
                "opening": version["opening"],
                "commitment": version["commitment"],
            }
            for own_id, entry in chain.entries.items()
            for version in entry["versions"]
        ],
        "links": chain.links,
        "statements": _statements(chain),
        "bundle": bundle_of(chain),
    }


def written() -> str:
    """The file's text."""
    return json.dumps(vectors(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    VECTORS.write_text(written(), "utf-8")
    sys.stderr.write(f"Wrote {VECTORS}; a change of what is there breaks other implementations.\n")
