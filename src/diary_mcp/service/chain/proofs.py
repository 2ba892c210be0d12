"""Proofs: what a file says of its entry's signature, made and checked (docs/signing.md)."""

from collections.abc import Sequence
from dataclasses import replace

from diary_mcp.domain.chain import Opening, Proof
from diary_mcp.domain.entry import EntryDraft
from diary_mcp.domain.fields import AgentName
from diary_mcp.domain.version import EntryRecord, write_version
from diary_mcp.service.chain.key_history import CheckSignature
from diary_mcp.service.chain.statements import canonical, commit, read_statement
from diary_mcp.service.ports.chain import ChainReader, LastLink


async def with_proofs(
    chain: ChainReader, owner: AgentName, stored: Sequence[EntryRecord]
) -> list[EntryRecord]:
    """The entries, each with the proof that an export writes beside it.

    One that is as it was imported keeps what its file said of its signature; any other has the
    diary's own.
    """
    if not stored:
        return []
    found = await chain.find_last_links(owner, [entry.id for entry in stored])
    links = {link.entry_id: link for link in found}
    return [_with_proof(entry, links.get(entry.id)) for entry in stored]


def check_proof(proof: Proof, draft: EntryDraft, check_signature: CheckSignature) -> str | None:
    """What is wrong with the proof for the entry that stands beside it, or `None`.

    That the key is the owner's, it cannot tell.
    """
    statement = proof.statement
    if statement.act not in {"write", "import"} or statement.entry is None:
        return "it is not the signature of an entry"
    if not check_signature(statement.key, proof.signature, canonical(statement)):
        return "the signature is not valid"
    if not covers(proof, draft):
        return "the entry is not what was signed"
    return None


def covers(proof: Proof, draft: EntryDraft) -> bool:
    """Whether the proof is about what the draft says, by whomever it was made."""
    if proof.statement.entry is None:
        return False
    return commit(proven_hash(proof, draft), proof.opening) == proof.statement.commitment


def proven_hash(proof: Proof, draft: EntryDraft) -> str:
    """The content hash that the draft has as the entry and version of the proof."""
    statement = proof.statement
    assert statement.entry is not None, "a proof is about an entry"  # noqa: S101  # an invariant
    said = write_version(
        draft,
        entry_id=statement.entry,
        owner=statement.owner,
        number=statement.version or 0,
        date=statement.time,
    )
    return said.content_hash


def _with_proof(entry: EntryRecord, last: LastLink | None) -> EntryRecord:
    own = None if last is None or last.salt is None else _own_proof(entry, last, last.salt)
    if own is None:
        return replace(entry, proof=entry.origin)
    own_proof = canonical(own).decode()
    return replace(
        entry,
        proof=entry.origin or own_proof,
        own_proof=own_proof,
        signed_claims=[str(each.entry) for each in own.statement.superseded],
    )


def _own_proof(entry: EntryRecord, last: LastLink, salt: str) -> Proof | None:
    try:
        statement = read_statement(last.statement)
    except ValueError:
        return None
    if statement.act == "delete" or statement.version != entry.version:
        return None
    opening = Opening(
        created_at=entry.created_at, key=entry.key, salt=salt, updated_at=entry.updated_at
    )
    return Proof(opening=opening, signature=last.signature, statement=statement)
