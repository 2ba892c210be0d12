"""Checking a chain and the entries that it speaks of: docs/signing.md, as one pass over both.

Pure: links and entries are handed in by whoever has them, from a database or from a bundle.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple, Self

from diary_mcp.domain.chain import ChainHead, Opening, PublicKey, Statement
from diary_mcp.domain.fields import AgentName, EntryId
from diary_mcp.domain.verification import BrokenLink, Verification
from diary_mcp.domain.version import Version, content_hash
from diary_mcp.service.chain.key_history import CheckSignature, KeyHistory, ToldKeys
from diary_mcp.service.chain.statements import commit, hash_bytes, read_statement
from diary_mcp.service.ports.chain import Head, SignedLink


class CheckedEntry(NamedTuple):
    """An entry with the versions that are known, the present one first."""

    id: EntryId
    key: str | None
    owner: AgentName
    supersedes: Sequence[EntryId]
    created_at: datetime
    versions: Sequence[Version]
    salts: Mapping[int, str]
    """By version: of the last link about it, where there is one."""


@dataclass
class _SignedEntry:
    """What the chain says of one entry, up to its last link."""

    last: Statement
    hash: str
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
        about: the entries that are asked about; `None` for all. Of links that are about others
            only the place is checked: the signature of the last link covers them by their hashes.
    """

    owner: AgentName
    check_signature: CheckSignature
    trusted: Collection[PublicKey] = ()
    remembered: ChainHead | None = None
    about: Collection[EntryId] | None = None
    sequence: int = 0
    hash: str | None = None
    broken: BrokenLink | None = None
    told_keys: ToldKeys = field(default_factory=ToldKeys)
    """The keys by the chain's own word."""
    _keys: KeyHistory = field(init=False)
    _time: datetime | None = None
    _signed: dict[EntryId, _SignedEntry] = field(default_factory=dict[EntryId, _SignedEntry])
    _seen: set[EntryId] = field(default_factory=set[EntryId])
    _unchecked: SignedLink | None = None
    _signers: set[PublicKey] = field(default_factory=set[PublicKey])

    def __post_init__(self) -> None:
        self._keys = KeyHistory(self.trusted)

    @classmethod
    def going_on(
        cls,
        owner: AgentName,
        check_signature: CheckSignature,
        head: Head,
        trusted: Collection[PublicKey],
    ) -> Self:
        """A check of what comes after a head that is known to be right, and of no entry."""
        check = cls(owner, check_signature, about=(), sequence=head.sequence, hash=head.hash)
        check._time = head.signed_at
        check._keys = KeyHistory.after(head, trusted)
        return check

    @property
    def head(self) -> Head:
        """Where the links that were added end, and what they say of keys."""
        return Head(
            sequence=self.sequence,
            hash=self.hash,
            signed_at=self._time,
            valid_keys=sorted(self._keys.valid),
            known_keys=[period.key for period in self._keys.periods],
        )

    def add_link(self, link: SignedLink) -> None:
        """Goes on by one link; it is valid where it and every link before it follow the rules."""
        self.told_keys.add([link])
        previous, self.hash = self.hash, hash_bytes(link.statement.encode())
        self.sequence += 1
        self._unchecked = None
        try:
            statement = read_statement(link.statement)
        except ValueError as error:
            self.break_at(self.sequence, str(error))
        else:
            self._check_link(statement, link, previous)
            self._time = statement.time
        if self.remembered is not None and self.sequence == self.remembered.sequence:
            self._check_remembered(self.remembered)

    def check_entry(self, entry: CheckedEntry) -> Verification:
        """What the chain and the hashes say of an entry as it is now."""
        self._seen.add(entry.id)
        present = entry.versions[0]
        found = Verification(
            entry_id=entry.id,
            content_hash=present.content_hash,
            hash_matches=content_hash(present) == present.content_hash,
        )
        if entry.owner != self.owner:
            told = {"signature_valid": False, "problem": f"belongs to {entry.owner}"}
            return found.model_copy(update=told)
        signed = self._signed.get(entry.id)
        if signed is None:
            return found
        problem = self._present_problem(entry, present, signed) or _history_problem(entry, signed)
        is_signed = signed.last.act != "delete" and signed.last.version == present.version
        if problem is None and is_signed and not signed.is_valid:
            problem = "its link is not valid, or one before it"
        if problem is None and not is_signed:
            return found
        told = {"signature_valid": problem is None, "signer": signed.last.key, "problem": problem}
        return found.model_copy(update=told)

    def proof_of(self, entry: CheckedEntry) -> Mapping[str, object]:
        """When its present version was signed, and by which link, as the links themselves say."""
        signed = self._signed.get(entry.id)
        if signed is None or signed.last.act == "delete":
            return {}
        is_present = signed.last.version == entry.versions[0].version
        return {"signed_at": signed.last.time, "link": signed.hash} if is_present else {}

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

    def _check_link(self, statement: Statement, link: SignedLink, previous: str | None) -> None:
        sequence, time = self.sequence, self._time
        rules = (
            (statement.sequence == sequence, f"link {sequence} is missing or out of order"),
            (statement.previous == previous, "does not follow the link before it"),
            (statement.owner == self.owner, f"belongs to the chain of {statement.owner}"),
            (time is None or statement.time >= time, "is older than the link before"),
        )
        problem = next((told for holds, told in rules if not holds), None)
        problem = problem or self._signature_problem(statement, link)
        # What a broken chain says of keys is nothing to go by.
        if problem is None and self.broken is None:
            problem = self._keys.apply(statement)
        problem = problem or self._entry_problem(statement)
        if problem is not None:
            self.break_at(sequence, problem)
        self._note(statement)

    def _signature_problem(self, statement: Statement, link: SignedLink) -> str | None:
        if self.about is not None and not self._rests_on(statement):
            self._unchecked = link
            return None
        if not self.check_signature(statement.key, link.signature, link.statement.encode()):
            return "its signature is not valid"
        self._signers.add(statement.key)
        return None

    def _rests_on(self, statement: Statement) -> bool:
        """Whether what is asked about depends on the link by more than the order."""
        return statement.entry is None or self.about is None or statement.entry in self.about

    def _entry_problem(self, statement: Statement) -> str | None:
        if statement.entry is None or not self._rests_on(statement):
            return None
        signed = self._signed.get(statement.entry)
        last = None if signed is None or signed.last.act == "delete" else signed.last
        if last is not None and (statement.version or 0) < (last.version or 0):
            return "goes back to an earlier version of its entry"
        if statement.act == "delete" and not _repeats(statement, last):
            return "deletes another version than the last one that is signed"
        for superseded in statement.superseded:
            known = self._signed.get(superseded.entry)
            if known is not None and superseded.link != known.hash:
                return "supersedes an entry by another link than its last"
        return None

    def _note(self, statement: Statement) -> None:
        if statement.entry is None or statement.version is None or self.hash is None:
            return
        before = self._signed.get(statement.entry)
        is_new = before is None or before.last.act == "delete"
        commitments = {} if is_new or before is None else before.commitments
        commitments[statement.version] = statement.commitment
        self._signed[statement.entry] = _SignedEntry(
            statement, self.hash, is_valid=self.broken is None, commitments=commitments
        )

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
        if _commitment(entry, present) != last.commitment:
            return "is not what was signed"
        claimed = [each.entry for each in last.superseded]
        missing = set(claimed) - set(entry.supersedes)
        if not set(entry.supersedes) <= set(claimed) or not all(map(self._is_gone, missing)):
            told = ", ".join(map(str, claimed)) or "nothing"
            return f"what was signed supersedes {told}, and this does not"
        return None

    def _is_gone(self, entry_id: EntryId) -> bool:
        signed = self._signed.get(entry_id)
        return signed is None or signed.last.act == "delete"

    def _check_end(self, head: ChainHead | None) -> None:
        end = None if self.hash is None else ChainHead(sequence=self.sequence, hash=self.hash)
        if self._unchecked is not None:
            self._check_last(self._unchecked)
        if head != end:
            self.break_at(self.sequence + 1, f"the head is {head}, and the chain ends at {end}")
        if self.remembered is not None and self.remembered.sequence > self.sequence:
            # What is remembered and not there was cut off, or replaced, from here on at the latest.
            self._check_remembered(self.remembered)
        if self.trusted and self._signers.isdisjoint(self.trusted):
            self.break_at(1, "no link is signed by a key that you trust")

    def _check_last(self, link: SignedLink) -> None:
        key = read_statement(link.statement).key
        if not self.check_signature(key, link.signature, link.statement.encode()):
            self.break_at(self.sequence, "its signature is not valid")

    def _check_remembered(self, remembered: ChainHead) -> None:
        if (self.sequence, self.hash) != (remembered.sequence, remembered.hash):
            at = min(remembered.sequence, self.sequence + 1)
            self.break_at(at, f"the remembered head {remembered} is not in the chain")

    def break_at(self, sequence: int, problem: str) -> None:
        """Notes that a rule fails at this link; the first one stays."""
        if self.broken is None or sequence < self.broken.sequence:
            self.broken = BrokenLink(sequence=sequence, problem=problem)


def _repeats(deletion: Statement, last: Statement | None) -> bool:
    """Whether a deletion says what the entry's last link said."""
    if last is None:
        return deletion.commitment is None
    return (deletion.version, deletion.commitment) == (last.version, last.commitment)


def _history_problem(entry: CheckedEntry, signed: _SignedEntry) -> str | None:
    numbers = [version.version for version in entry.versions]
    if numbers != sorted(set(numbers), reverse=True):
        return "its versions are not each there once, the newest first"
    known = {version.version: version for version in entry.versions[1:]}
    for number, commitment in signed.commitments.items():
        if number >= entry.versions[0].version:
            continue
        version = known.get(number)
        if version is None:
            return f"its version {number} is signed, and not in the history"
        if commitment != _commitment(entry, version):
            return f"its version {number} in the history is not what was signed"
    for number, version in known.items():
        if signed.last.act != "delete" and content_hash(version) != version.content_hash:
            return f"the content hash of its version {number} is not right"
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
