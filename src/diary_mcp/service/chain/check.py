"""Checking a chain and the entries that it speaks of: docs/signing.md, as one pass over both.

Pure: links and entries are handed in by whoever has them, from a database or from a bundle.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from diary_mcp.domain.fields import AgentName, EntryId
from diary_mcp.domain.signing import ChainHead, Opening, PublicKey, Statement
from diary_mcp.domain.verification import BrokenLink, Verification
from diary_mcp.domain.version import Version, content_hash
from diary_mcp.service.chain.key_history import CheckSignature, KeyHistory
from diary_mcp.service.chain.statements import commit, hash_bytes, read_statement
from diary_mcp.service.ports.chain import SignedLink


@dataclass(frozen=True)
class CheckedEntry:
    """An entry with the versions that are known, the present one first."""

    id: EntryId
    key: str | None
    owner: AgentName
    supersedes: EntryId | None
    created_at: datetime
    versions: Sequence[Version]
    salts: Mapping[int, str]
    """By version: of the last link about it, where there is one."""


@dataclass
class _SignedEntry:
    """What the chain says of one entry, up to its last link."""

    last: Statement
    is_valid: bool
    commitments: dict[int, str | None]


@dataclass
class ChainCheck:
    """Takes the links of one owner in order, then the entries, and says what does not fit.

    Args:
        owner: whose chain it is.
        check_signature: decides about one signature.
        trusted: keys that a checker was told to trust.
        remembered: a head from before, which must be in the chain.
        is_whole: `False` where only the links of keys and of one entry are handed in.
    """

    owner: AgentName
    check_signature: CheckSignature
    trusted: Collection[PublicKey] = ()
    remembered: ChainHead | None = None
    is_whole: bool = True
    sequence: int = 0
    hash: str | None = None
    broken: BrokenLink | None = None
    _keys: KeyHistory = field(init=False)
    _time: datetime | None = None
    _signed: dict[EntryId, _SignedEntry] = field(default_factory=dict[EntryId, _SignedEntry])
    _seen: set[EntryId] = field(default_factory=set[EntryId])
    _met_remembered: bool = False
    _met_trusted: bool = False

    def __post_init__(self) -> None:
        self._keys = KeyHistory(self.trusted)

    @property
    def keys(self) -> KeyHistory:
        """The key history so far."""
        return self._keys

    def add_link(self, link: SignedLink) -> None:
        """Goes on by one link."""
        sequence = self.sequence + 1
        try:
            statement = read_statement(link.statement)
        except ValueError as error:
            self.break_at(sequence, str(error))
            self.sequence = sequence
            self.hash = hash_bytes(link.statement.encode())
            return
        if self.is_whole:
            self._check_place(statement, sequence)
        else:
            sequence = statement.sequence
        is_valid = self._check_key(statement, link, sequence)
        self._note(statement, sequence, is_valid=is_valid)
        self.sequence = sequence
        self.hash = hash_bytes(link.statement.encode())
        self._time = statement.time
        if self.remembered is not None and self.sequence == self.remembered.sequence:
            self._met_remembered = self.hash == self.remembered.hash

    def check_entry(self, entry: CheckedEntry) -> Verification:
        """What the chain and the hashes say of an entry as it is now."""
        self._seen.add(entry.id)
        present = entry.versions[0]
        computed = content_hash(present)
        found = Verification(entry_id=entry.id, hash_matches=computed == present.content_hash)
        signed = self._signed.get(entry.id)
        if signed is None:
            return found
        problem = self._present_problem(entry, present, signed) or _history_problem(entry, signed)
        is_signed = signed.last.act != "delete" and signed.last.version == present.version
        if problem is None and is_signed and not signed.is_valid:
            problem = "its link is not valid"
        if problem is None and not is_signed:
            return found
        told = {"signature_valid": problem is None, "signer": signed.last.key, "problem": problem}
        return found.model_copy(update=told)

    def finish(self, head: ChainHead | None) -> list[Verification]:
        """Compares the end of the chain, and lists the entries that were dropped.

        Args:
            head: where the chain ends by the word of whoever keeps it.
        """
        self._check_end(head)
        return [
            Verification(
                entry_id=entry_id,
                hash_matches=False,
                signature_valid=False,
                signer=signed.last.key,
                problem="dropped: it is gone, and no deletion is signed",
            )
            for entry_id, signed in self._signed.items()
            if signed.last.act != "delete" and entry_id not in self._seen
        ]

    def _check_place(self, statement: Statement, sequence: int) -> None:
        rules: tuple[tuple[bool, str], ...] = (
            (statement.sequence == sequence, f"link {sequence} is missing or out of order"),
            (statement.previous == self.hash, "does not follow the link before it"),
            (statement.owner == self.owner, f"belongs to the chain of {statement.owner}"),
            (self._time is None or statement.time >= self._time, "is older than the link before"),
        )
        for holds, problem in rules:
            if not holds:
                self.break_at(sequence, problem)
                return

    def _check_key(self, statement: Statement, link: SignedLink, sequence: int) -> bool:
        if not self.check_signature(statement.key, link.signature, link.statement.encode()):
            self.break_at(sequence, "its signature is not valid")
            return False
        self._met_trusted |= statement.key in self.trusted
        problem = self._keys.apply(statement)
        if problem is not None:
            self.break_at(sequence, problem)
        return problem is None

    def _note(self, statement: Statement, sequence: int, *, is_valid: bool) -> None:
        if statement.entry is None:
            return
        before = self._signed.get(statement.entry)
        if before is None or before.last.act == "delete":
            commitments: dict[int, str | None] = {}
        else:
            commitments = before.commitments
            if (statement.version or 0) < (before.last.version or 0):
                self.break_at(sequence, "goes back to an earlier version of its entry")
        if statement.version is not None:
            commitments[statement.version] = statement.commitment
        self._signed[statement.entry] = _SignedEntry(statement, is_valid, commitments)

    def _present_problem(
        self, entry: CheckedEntry, present: Version, signed: _SignedEntry
    ) -> str | None:
        last = signed.last
        if last.act == "delete":
            # An id may be used anew, and then waits for its first signature.
            return None if entry.created_at > last.time else "is here, and its deletion is signed"
        if last.version is None or last.version > present.version:
            return f"version {last.version} is signed, and this is version {present.version}"
        if last.version < present.version:
            return None
        if entry.owner != last.owner or _commitment(entry, present) != last.commitment:
            return "is not what was signed"
        claimed = last.supersedes.entry if last.supersedes is not None else None
        if claimed != entry.supersedes and not (
            entry.supersedes is None and claimed is not None and self._is_gone(claimed)
        ):
            return f"what was signed supersedes {claimed or 'nothing'}, and this does not"
        return None

    def _is_gone(self, entry_id: EntryId) -> bool:
        signed = self._signed.get(entry_id)
        return signed is None or signed.last.act == "delete"

    def _check_end(self, head: ChainHead | None) -> None:
        end = None if self.hash is None else ChainHead(sequence=self.sequence, hash=self.hash)
        if head != end:
            self.break_at(self.sequence + 1, f"the head is {head}, and the chain ends at {end}")
        if self.remembered is not None and not self._met_remembered:
            # What is remembered and not there was cut off, or replaced, from here on at the latest.
            at = min(self.remembered.sequence, self.sequence + 1)
            self.break_at(at, f"the remembered head {self.remembered} is not in the chain")
        if self.trusted and not self._met_trusted:
            self.break_at(1, "no link is signed by a key that you trust")

    def break_at(self, sequence: int, problem: str) -> None:
        """Notes that a rule fails at this link; the first one stays."""
        if self.broken is None or sequence < self.broken.sequence:
            self.broken = BrokenLink(sequence=sequence, problem=problem)


def _history_problem(entry: CheckedEntry, signed: _SignedEntry) -> str | None:
    known = {version.version: version for version in entry.versions[1:]}
    for number, commitment in signed.commitments.items():
        if number >= entry.versions[0].version:
            continue
        version = known.get(number)
        if version is None:
            return f"its version {number} is signed, and not in the history"
        if commitment != _commitment(entry, version):
            return f"its version {number} in the history is not what was signed"
    return None


def _commitment(entry: CheckedEntry, version: Version) -> str | None:
    salt = entry.salts.get(version.version)
    if salt is None:
        return None
    opening = Opening(
        created_at=entry.created_at,
        key=entry.key,
        salt=salt,
        updated_at=version.updated_at,
    )
    return commit(content_hash(version), opening)
