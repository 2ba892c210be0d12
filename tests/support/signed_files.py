"""Entries with proofs, as an export writes them: no database."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from diary_mcp.domain.chain import Opening, Proof, SupersededEntry
from diary_mcp.domain.entry import EntryDraft
from diary_mcp.domain.fields import AgentName, EntryId
from diary_mcp.domain.version import EntryRecord, write_version
from diary_mcp.files.json_lines import render_line
from diary_mcp.files.markdown import render_markdown
from diary_mcp.files.names import SUFFIX, file_names
from diary_mcp.keys.ed25519 import PrivateKey
from diary_mcp.service.chain.links import Draft, Drafting
from diary_mcp.service.chain.statements import canonical, commit, hash_bytes
from diary_mcp.service.ports.chain import Head
from diary_mcp.service.ports.entries import EntryReference

ALICE = AgentName("alice")
KEY = PrivateKey(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
CREATED = datetime(2026, 3, 1, 9, tzinfo=UTC)
UPDATED = CREATED + timedelta(seconds=1)
_NO_HEAD = Head(sequence=0, hash=None, signed_at=None, valid_keys=(), known_keys=())


def some_id(number: int) -> EntryId:
    return EntryId(UUID(f"0199aaaa-3236-7000-8000-{number:012d}"))


def signed_entry(
    number: int,
    *,
    key: str | None = None,
    content: str = "What happened.",
    supersedes: Sequence[EntryId] = (),
    front_matter: str | None = None,
    owner: AgentName = ALICE,
) -> EntryRecord:
    """An entry that its owner has signed."""
    draft = EntryDraft(content=content, author="model-1", tags=["a"], key=key)
    version = write_version(draft, entry_id=some_id(number), owner=owner, date=CREATED, now=UPDATED)
    entry = EntryRecord(
        **vars(version),
        key=key,
        supersedes=supersedes,
        superseded_keys=[None] * len(supersedes),
        created_at=CREATED,
        front_matter=front_matter,
    )
    return with_own_proof(entry)


def with_own_proof(entry: EntryRecord) -> EntryRecord:
    """The entry with a proof by the key of these tests."""
    opening = Opening(
        created_at=entry.created_at, key=entry.key, salt="A" * 22, updated_at=entry.updated_at
    )
    link = hash_bytes(b"its last link")
    superseded = [
        SupersededEntry(content_hash=None, entry=older, link=link) for older in entry.supersedes
    ]
    statement = Drafting(entry.owner, _NO_HEAD, KEY.public_key).statement(
        "write",
        entry=entry.id,
        version=entry.version,
        commitment=commit(entry.content_hash, opening),
        superseded=superseded,
    )
    signature = KEY.sign(Draft(statement).form)
    proof = canonical(Proof(opening=opening, signature=signature, statement=statement)).decode()
    claims = list(map(str, entry.supersedes))
    return replace(entry, proof=proof, own_proof=proof, signed_claims=claims)


def write_markdown(directory: Path, *entries: EntryRecord) -> None:
    """The folder that an export of these entries makes."""
    directory.mkdir(exist_ok=True)
    names = file_names([EntryReference(entry.id, entry.key) for entry in entries])
    for entry in entries:
        text = render_markdown(entry, name=names[entry.id], names=names)
        (directory / (names[entry.id] + SUFFIX)).write_bytes(text)


def write_lines(path: Path, *entries: EntryRecord) -> None:
    """The same as JSON Lines."""
    path.write_bytes(b"".join(map(render_line, entries)))
