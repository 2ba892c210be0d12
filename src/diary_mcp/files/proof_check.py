"""Checking the signatures that files brought along: no database, and whoever wrote them.

Whatever a proof covers is compared with what the file says; whatever it does not cover is named.
"""

from collections import Counter
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from diary_mcp.domain.chain import Proof, PublicKey
from diary_mcp.domain.entry import EntryDraft
from diary_mcp.domain.fields import ENTRY_TYPES, EntryId, format_time, quoted
from diary_mcp.files.front_matter import read_front_matter
from diary_mcp.files.names import find_entry_id
from diary_mcp.files.reading import Found, read_source
from diary_mcp.files.sources import Rejection, find_sources
from diary_mcp.service.archive.importer import ImportedEntry
from diary_mcp.service.archive.supersession import base_name
from diary_mcp.service.chain.key_history import CheckSignature
from diary_mcp.service.chain.proofs import check_proof, proven_hash
from diary_mcp.service.chain.statements import (
    JsonObject,
    canonical,
    hash_bytes,
    model_of,
    read_proof,
)

# Where an entry is kept is nothing that it says.
_READ_FIELDS = frozenset(EntryDraft.model_fields) - {"content", "diary"}


@dataclass(frozen=True)
class CheckedFile:
    """An entry in a file. Without a signer it is not signed."""

    name: str
    signer: str | None
    problem: str | None
    not_covered: tuple[str, ...] = ()
    """What it says beyond what was signed, or what could not be compared."""


@dataclass(frozen=True)
class _Read:
    """An entry with what its file says of its signature."""

    name: str
    entry: ImportedEntry
    proof: Proof | None
    own: Proof | None
    """Of the diary that exported it, where that imported it with another's proof."""
    is_damaged: bool = False
    """It looks like a signature and is none."""


def check_files(
    paths: Iterable[Path], check_signature: CheckSignature, trusted: Sequence[PublicKey]
) -> list[CheckedFile]:
    """Each entry of the files, Markdown or JSON Lines, with what is wrong with its signature.

    Blocks.
    """
    checked: list[CheckedFile] = []
    read: list[_Read] = []
    for item in _read_all(paths):
        if isinstance(item, Rejection):
            checked.append(CheckedFile(item.path, None, item.reason))
        else:
            read.append(_with_proofs(item))
    together = _Together(read)
    return checked + [_check(each, together, check_signature, trusted) for each in read]


def _read_all(paths: Iterable[Path]) -> Generator[Found | Rejection]:
    for source in find_sources(paths):
        if isinstance(source, Rejection):
            yield source
        else:
            yield from read_source(source)


def _with_proofs(found: Found) -> _Read:
    entry = found.entry
    proof = read_proof(entry.origin)
    if entry.is_line:
        said = entry.told.get("signature")
        members = said if isinstance(said, JsonObject) else JsonObject()
        own = model_of(Proof, members.get("import"))
        damaged = (proof is None and members.get("proof") is not None) or (
            own is None and members.get("import") is not None
        )
        return _Read(found.origin, entry, proof, own, is_damaged=damaged)
    field = read_front_matter(entry.front_matter or "").find("signature")
    value = None if field is None else field.value
    is_foreign_word = isinstance(value, str) and not value.lstrip().startswith("{")
    looks_signed = value is not None and not is_foreign_word
    return _Read(found.origin, entry, proof, None, is_damaged=proof is None and looks_signed)


class _Together:
    """What the files say of each other."""

    def __init__(self, read: Sequence[_Read]) -> None:
        self._copies = Counter(_identity(each) for each in read)
        self._ids: dict[str, EntryId | None] = {}
        for each in read:
            entry, statement = each.entry, each.proof and each.proof.statement
            signed_id = entry.entry_id if statement is None else statement.entry
            own_names = (entry.name, entry.draft.key, signed_id and str(signed_id))
            self._ids.update({name: signed_id for name in own_names if name is not None})

    def is_copied(self, read: _Read) -> bool:
        """Whether another file has the same entry."""
        return self._copies[_identity(read)] > 1

    def has(self, claim: str) -> bool:
        """Whether one of the files is the entry that is named."""
        return claim in self._ids or base_name(claim) in self._ids

    def find_id(self, claim: str) -> EntryId | None:
        """The id that the named entry was signed with."""
        return self._ids.get(claim) or self._ids.get(base_name(claim)) or find_entry_id(claim)


def _identity(read: _Read) -> tuple[str, EntryId] | int:
    """By whom which entry was signed; one that is not signed is like no other."""
    statement = read.proof and read.proof.statement
    return id(read) if not statement or not statement.entry else (statement.owner, statement.entry)


def _check(
    read: _Read, together: _Together, check_signature: CheckSignature, trusted: Sequence[PublicKey]
) -> CheckedFile:
    proof, draft = read.proof, read.entry.draft
    if proof is None:
        damaged = "its signature is not one of docs/signing.md" if read.is_damaged else None
        return CheckedFile(read.name, None, damaged)
    problem = check_proof(proof, draft, check_signature)
    if problem is None and trusted and proof.statement.key not in trusted:
        problem = "it is signed by a key that you did not name"
    if problem is None and read.is_damaged:
        problem = "its second signature is not one of docs/signing.md"
    if problem is None:
        problem = (
            _name_problem(proof, read.entry)
            or _claim_problem(proof, draft, together)
            or _told_problem(read, check_signature)
        )
    if problem is None and together.is_copied(read):
        problem = f"entry {proof.statement.entry} is there more than once"
    signer = f"{proof.statement.owner} {proof.statement.key}"
    return CheckedFile(read.name, signer, problem, tuple(_not_covered(read, proof, together)))


def _name_problem(proof: Proof, entry: ImportedEntry) -> str | None:
    """The key that was signed, or the id of an entry without one, is the file's name."""
    own_id = str(proof.statement.entry)
    signed = proof.opening.key or own_id
    said = entry.draft.key or str(entry.entry_id)
    if said != signed:
        return f"it was signed as {quoted(signed)}, and this is {quoted(said)}"
    named = find_entry_id((entry.name or "").partition("~")[0])
    if named is not None and str(named) not in {own_id, signed}:
        return f"it was signed as {own_id}, and its file has the id of another"
    return None


def _claim_problem(proof: Proof, draft: EntryDraft, together: _Together) -> str | None:
    signed = [superseded.entry for superseded in proof.statement.superseded]
    told = ", ".join(map(str, signed)) or "nothing"
    named = {claim: together.find_id(claim) for claim in draft.supersedes}
    for claim, entry_id in named.items():
        is_another = entry_id is not None and entry_id not in signed
        if is_another or (not signed and together.has(claim)):
            return f"it was signed to supersede {told}, and this supersedes {quoted(claim)}"
    # Any of them may be meant by a name that is none of these files.
    unnamed = set(signed) - set(named.values())
    if len(unnamed) > sum(entry_id is None for entry_id in named.values()):
        return f"it was signed to supersede {told}, and this does not"
    return None


def _told_problem(read: _Read, check_signature: CheckSignature) -> str | None:
    """What a line says beside the entry is what the exporting diary's own proof covers."""
    told = read.entry.told
    if not told:
        return None
    proof, state = read.proof, _state(told)
    if read.own is not None and proof is not None:
        problem = check_proof(read.own, read.entry.draft, check_signature)
        if problem is None and read.own.statement.origin != hash_bytes(canonical(proof)):
            problem = "it was not imported with the signature that stands there"
        if problem is not None:
            return f"of its import: {problem}"
    own = read.own or proof
    if own is None or (state != "signed" and read.own is None):
        return None
    covered = _covered(own, read.entry.draft)
    wrong = [name for name, value in covered.items() if name in told and told[name] != value]
    if wrong:
        return f"its {', '.join(wrong)} is not what was signed"
    return None if state == "signed" else f"its state is {state}, and it is signed"


def _covered(proof: Proof, draft: EntryDraft) -> Mapping[str, object]:
    statement, opening = proof.statement, proof.opening
    return {
        "id": str(statement.entry),
        "owner": statement.owner,
        "version": statement.version,
        "created_at": format_time(opening.created_at),
        "updated_at": format_time(opening.updated_at),
        "content_hash": proven_hash(proof, draft),
    }


def _state(told: Mapping[str, object]) -> object:
    signature = told.get("signature")
    return signature.get("state") if isinstance(signature, JsonObject) else None


def _not_covered(read: _Read, proof: Proof, together: _Together) -> Generator[str]:
    told = read.entry.told
    for claim in read.entry.draft.supersedes:
        if together.find_id(claim) is None:
            yield f"supersedes {quoted(claim)}, which is none of these files"
    if not read.entry.is_line:
        yield from _unread(read.entry.front_matter or "", read.entry)
    covered: set[str] = {*_covered(proof, read.entry.draft), "signature"}
    is_own = read.own is not None or _state(told) == "signed"
    yield from sorted(quoted(name) for name in told if not is_own or name not in covered)


def _unread(head: str, entry: ImportedEntry) -> Generator[str]:
    """Front matter that is no field of the entry, or says it in words that are not read."""
    front_matter = read_front_matter(head)
    for field in front_matter.fields:
        word = str(field.value).strip().lower()
        is_id = field.name == "id" and field.value == str(entry.entry_id)
        is_read = is_id or field.name in _READ_FIELDS | {"signature"}
        is_other_word = field.name == "type" and field.value and word not in ENTRY_TYPES
        is_other_key = field.name == "key" and field.value != entry.draft.key
        if not is_read or is_other_word or is_other_key:
            yield quoted(field.name)
    texts = (front_matter.preamble, *(field.text for field in front_matter.fields))
    if any(line.lstrip().startswith("#") for text in texts for line in text.split("\n")):
        yield "comments"
