"""Adding links to an owner's chain, in the unit of work of the change that they sign.

The head is locked last: whoever holds it waits for nobody, so links have the order of commits and
no two changes wait for each other. A new entry is signed without looking where the chain ends: it
is expected to end where this machine has seen it end, and is not written where it does not.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import Literal, NamedTuple, TypeVar

import structlog

from diary_mcp.domain.chain import (
    LINK_FORMAT,
    LIST_FORMAT,
    Act,
    ChainHead,
    Opening,
    PublicKey,
    Statement,
    SupersededEntry,
    as_said,
)
from diary_mcp.domain.entry import Entry, Signature
from diary_mcp.domain.errors import ConflictError, NotFoundError, SigningKeyError
from diary_mcp.domain.fields import AgentName, EntryId
from diary_mcp.domain.version import EntryRecord
from diary_mcp.service.chain.continuity import NO_HEAD, ChainReplacedError, Continuity, end_of
from diary_mcp.service.chain.statements import (
    canonical,
    commit,
    hash_bytes,
    new_salt,
    read_statement,
)
from diary_mcp.service.ports.chain import (
    ChainReader,
    ChainWriter,
    Head,
    HeadMovedError,
    NewLink,
    Signer,
    SigningKey,
    VersionToSign,
)

PENDING = Signature(state="pending")
UNSIGNED = Signature(state="none")

_log: structlog.stdlib.BoundLogger = structlog.get_logger()

HeadSource = Literal["remembered", "locked"]
"""Where a chain is taken to end: where this machine has seen it end, or where its lock shows it."""

_Written = TypeVar("_Written")


class KeyChange(NamedTuple):
    """A key that is admitted to a chain, or revoked."""

    act: Act
    key: PublicKey


@dataclass(frozen=True)
class Draft:
    """A statement to be signed, with the salt that opens its commitment."""

    statement: Statement
    salt: str | None = None

    @cached_property
    def form(self) -> bytes:
        """What is signed and hashed."""
        return canonical(self.statement)

    @property
    def first_superseded(self) -> EntryId | None:
        return next((each.entry for each in self.statement.superseded), None)


@dataclass
class Drafting:
    """Makes statements that follow a head, one after another."""

    owner: AgentName
    head: Head
    key: PublicKey
    supersedable: Mapping[EntryId, SupersededEntry] = field(
        default_factory=dict[EntryId, SupersededEntry]
    )
    """What entries that are superseded are known by."""

    def version(self, to_sign: VersionToSign) -> Draft:
        """A `write` or an `import`."""
        opening = Opening(
            created_at=to_sign.created_at,
            key=to_sign.key,
            salt=new_salt(),
            updated_at=to_sign.updated_at,
        )
        known = map(self.supersedable.get, to_sign.supersedes)
        origin = to_sign.origin
        statement = self.statement(
            to_sign.act,
            entry=to_sign.entry_id,
            version=to_sign.version,
            commitment=commit(to_sign.content_hash, opening),
            superseded=[each for each in known if each is not None],
            origin=None if origin is None else hash_bytes(origin.encode()),
        )
        return Draft(statement, opening.salt)

    def deletion(self, entry_id: EntryId, last: Statement | None, version: int) -> Draft:
        """A `delete`, which repeats what was committed to."""
        return Draft(
            self.statement(
                "delete",
                entry=entry_id,
                version=version if last is None else last.version,
                commitment=None if last is None else last.commitment,
            )
        )

    def key_change(self, change: KeyChange) -> Draft:
        """An `admit` or a `revoke`."""
        return Draft(self.statement(change.act, subject=change.key))

    def sign(self, draft: Draft, key: SigningKey) -> NewLink:
        """Goes on behind the draft, signed with the key."""
        return self.follow(draft, key.sign(draft.form))

    def follow(self, draft: Draft, signature: str) -> NewLink:
        """Goes on behind the draft, which has this signature."""
        statement = draft.statement
        link_hash = hash_bytes(draft.form)
        self.head = replace(
            changed_keys(self.head, statement),
            sequence=statement.sequence,
            hash=link_hash,
            signed_at=statement.time,
        )
        if statement.entry is not None:
            known = SupersededEntry(content_hash=None, entry=statement.entry, link=link_hash)
            self.supersedable = {**self.supersedable, statement.entry: known}
        return NewLink(
            sequence=statement.sequence,
            hash=link_hash,
            statement=draft.form.decode(),
            signature=signature,
            act=statement.act,
            entry_id=statement.entry,
            version=statement.version,
            supersedes=draft.first_superseded,
            salt=draft.salt,
        )

    def statement(
        self,
        act: Act,
        *,
        entry: EntryId | None = None,
        version: int | None = None,
        commitment: str | None = None,
        superseded: Sequence[SupersededEntry] = (),
        origin: str | None = None,
        subject: PublicKey | None = None,
    ) -> Statement:
        """The next statement, with the members that its act has."""
        now = datetime.now(UTC)
        before = self.head.signed_at
        return Statement(
            act=act,
            commitment=commitment,
            entry=entry,
            format=LIST_FORMAT if len(superseded) > 1 else LINK_FORMAT,
            key=self.key,
            origin=origin,
            owner=self.owner,
            previous=self.head.hash,
            sequence=self.head.sequence + 1,
            subject=subject,
            supersedes=as_said(superseded),
            # Another machine's clock may be ahead.
            time=now if before is None else max(now, before),
            version=version,
        )


class ChainSigning:
    """Signs changes of the agent whose keys are at hand; the others' stay pending."""

    def __init__(
        self,
        signer: Signer | None,
        continuity: Continuity | None = None,
        *,
        wanted: bool = True,
    ) -> None:
        self._signer = signer
        self._continuity = continuity
        self._unsigned = PENDING if wanted else UNSIGNED
        self._attempts = 0

    async def prepare(self, owner: AgentName) -> None:
        """Makes the key ready before anything is locked.

        Raises:
            SigningKeyError: the key cannot be used.
        """
        if self._signer is not None and self._signer.agent == owner:
            await self._signer.keys()

    async def attempt(
        self, owner: AgentName, write: Callable[[HeadSource], Awaitable[_Written]]
    ) -> _Written:
        """Does a unit of work that signs, which is told by what head.

        By the remembered one it is done without looking, and once more where others have signed
        meanwhile. Of several at the same time one does: the others' would not be the head any more.

        Raises:
            SigningKeyError: the key cannot be used.
        """
        if self._continuity is None or self._continuity.agent != owner:
            return await write("locked")
        self._attempts += 1
        try:
            if self._attempts == 1:
                with suppress(HeadMovedError):
                    return await write("remembered")
            return await write("locked")
        finally:
            self._attempts -= 1

    async def sign_versions(
        self,
        chain: ChainWriter,
        owner: AgentName,
        to_sign: Sequence[VersionToSign],
        *,
        head: HeadSource = "locked",
    ) -> list[Signature]:
        """Adds a link for each version; what became of each, in their order.

        Args:
            chain: the owner's, in a unit of work.
            owner: whose versions they are.
            to_sign: the versions.
            head: by the remembered one, if there is one, the unit of work may end with a
                `HeadMovedError`.

        Raises:
            SigningKeyError: the key cannot be used.
        """
        if not to_sign:
            return []
        # What is superseded is known by its last link, which may be followed by another meanwhile.
        is_alone = not any(version.supersedes for version in to_sign)
        found = await self._expect(owner) if head == "remembered" and is_alone else None
        found = found or await self._lock(chain, owner)
        if found is None:
            return [self._unsigned] * len(to_sign)
        drafting, key = found
        expected = drafting.head
        drafting.supersedable = await find_supersedable(chain, to_sign)
        links: list[NewLink] = []
        signatures: list[Signature] = []
        for version in to_sign:
            draft = drafting.version(version)
            links.append(drafting.sign(draft, key))
            signatures.append(_signature(draft.statement, links[-1]))
        await self._append(chain, owner, links, drafting.head, expected)
        return signatures

    async def sign_deletion(
        self, chain: ChainWriter, owner: AgentName, entry_id: EntryId, version: int
    ) -> bool:
        """Adds the link that a deleted entry leaves; `False` where no key is at hand.

        Raises:
            SigningKeyError: the key cannot be used.
        """
        found = await self._lock(chain, owner)
        if found is None:
            return False
        drafting, key = found
        expected = drafting.head
        last = await find_last_statement(chain, owner, entry_id)
        link = drafting.sign(drafting.deletion(entry_id, last, version), key)
        await self._append(chain, owner, [link], drafting.head, expected)
        return True

    async def sign_key_changes(
        self,
        chain: ChainWriter,
        owner: AgentName,
        changes: Sequence[KeyChange],
        *,
        by_takeover: bool = False,
    ) -> None:
        """Adds a link for each change; whoever was just admitted may sign the next.

        Raises:
            ConflictError: no key at hand may sign, a change is not possible, or the chain is not
                the one that this machine has seen.
            SigningKeyError: the key cannot be used.
        """
        if self._signer is None or self._signer.agent != owner:
            raise not_admitted(owner)
        keys = await self._signer.keys()
        expected = head = await self._lock_head(chain, owner, keys)
        links: list[NewLink] = []
        for change in changes:
            key = keys[0] if by_takeover else pick_key(keys, head)
            if key is None:
                raise not_admitted(owner)
            check_key_change(change, head)
            drafting = Drafting(owner, head, key.public_key)
            links.append(drafting.sign(drafting.key_change(change), key))
            head = drafting.head
        await self._append(chain, owner, links, head, expected)

    async def own_key(self, owner: AgentName) -> PublicKey | None:
        """The key that this process signs with for the owner, if it does.

        Raises:
            SigningKeyError: the key cannot be used.
        """
        if self._signer is None or self._signer.agent != owner:
            return None
        return (await self._signer.keys())[0].public_key

    async def describe(self, chain: ChainReader, owner: AgentName) -> tuple[Head, str | None]:
        """Where the owner's chain ends, and why nothing is signed there now, if that is so."""
        is_own = self._continuity is not None and self._continuity.agent == owner
        try:
            # Before the head is read: what comes between must not look like a shorter chain.
            known = self._continuity.recall() if self._continuity and is_own else None
            head = await chain.find_head(owner) or NO_HEAD
            if self._continuity is not None and is_own:
                own = await self._own_keys(owner)
                head = await self._continuity.follow(chain, head, known, own)
        except (ChainReplacedError, SigningKeyError) as error:
            return await chain.find_head(owner) or NO_HEAD, str(error)
        own_key = await self.own_key(owner)
        is_stranger = own_key is not None and head.sequence > 0 and own_key not in head.valid_keys
        return head, str(not_admitted(owner)) if is_stranger else None

    def recall(self, owner: AgentName) -> ChainHead | None:
        """How far this machine has seen the owner's chain, if it has.

        Raises:
            SigningKeyError: what it remembers cannot be read.
        """
        if self._continuity is None or self._continuity.agent != owner:
            return None
        return end_of(self._continuity.recall())

    async def _expect(self, owner: AgentName) -> tuple[Drafting, SigningKey] | None:
        if self._signer is None or self._signer.agent != owner or self._continuity is None:
            return None
        expected = self._continuity.expect()
        if expected is None:
            return None
        key = pick_key(await self._signer.keys(), expected)
        return None if key is None else (Drafting(owner, expected, key.public_key), key)

    async def _lock(
        self, chain: ChainWriter, owner: AgentName
    ) -> tuple[Drafting, SigningKey] | None:
        if self._signer is None or self._signer.agent != owner:
            return None
        # Looked at again under the lock: a rotation may have been committed a moment ago.
        keys = await self._signer.keys()
        try:
            head = await self._lock_head(chain, owner, keys)
        except ChainReplacedError as error:
            # What is written waits for its signature: it is not to be lost.
            _log.warning("signing.refused", agent=owner, reason=str(error))
            return None
        key = pick_key(keys, head)
        if key is None:
            _log.info("signing.not_admitted", agent=owner)
            return None
        return Drafting(owner, head, key.public_key), key

    async def _lock_head(
        self, chain: ChainWriter, owner: AgentName, keys: Sequence[SigningKey]
    ) -> Head:
        head = await chain.lock_head(owner)
        if self._continuity is None:
            return head
        own = [key.public_key for key in keys]
        return await self._continuity.follow(chain, head, self._continuity.recall(), own)

    async def _own_keys(self, owner: AgentName) -> list[PublicKey]:
        own = self._signer is not None and self._signer.agent == owner
        keys = await self._signer.keys() if self._signer is not None and own else ()
        return [key.public_key for key in keys]

    async def _append(
        self,
        chain: ChainWriter,
        owner: AgentName,
        links: Sequence[NewLink],
        head: Head,
        expected: Head,
    ) -> None:
        await chain.append(owner, links, head, expected)
        if self._continuity is not None:
            self._continuity.propose(chain, head)


def pick_key(keys: Sequence[SigningKey], head: Head) -> SigningKey | None:
    """The key that may sign the next link, if there is one; at the beginning, the first."""
    if head.sequence == 0:
        return keys[0]
    return next((key for key in keys if key.public_key in head.valid_keys), None)


def signable(version: EntryRecord | Entry) -> VersionToSign:
    """What a link says of a version that is being written."""
    record = version if isinstance(version, EntryRecord) else None
    is_imported = record is not None and record.imported_version == record.version
    return VersionToSign(
        entry_id=version.id,
        key=version.key,
        version=version.version,
        content_hash=version.content_hash,
        created_at=version.created_at,
        updated_at=version.updated_at,
        supersedes=version.supersedes,
        act="import" if is_imported else "write",
        origin=record.origin if record is not None else None,
    )


def changed_keys(head: Head, statement: Statement) -> Head:
    """The head's keys after the statement."""
    valid, known = list(head.valid_keys), list(head.known_keys)
    admitted = [statement.key] if statement.sequence == 1 else []
    if statement.act == "admit" and statement.subject is not None:
        admitted.append(statement.subject)
    for key in dict.fromkeys(admitted):
        valid.append(key)
        known.append(key)
    if statement.act == "revoke":
        valid = [key for key in valid if key != statement.subject]
    return replace(head, valid_keys=valid, known_keys=known)


def check_key_change(change: KeyChange, head: Head) -> None:
    """Raises ConflictError or NotFoundError: the chain's keys do not let it be."""
    if change.act == "admit" and change.key in head.known_keys:
        raise ConflictError(f"{change.key} was admitted before; make a new key.")
    if change.act == "revoke" and change.key not in head.valid_keys:
        raise NotFoundError(f"{change.key} is not a valid key of your chain.")


def not_admitted(owner: AgentName) -> ConflictError:
    """Why nothing can be signed here."""
    return ConflictError(
        f"The key of this machine is not admitted to the chain of {owner}. See it with `diary-mcp "
        "key show`, and on the machine whose key is admitted run `diary-mcp key admit KEY`."
    )


async def find_last_statement(
    chain: ChainReader, owner: AgentName, entry_id: EntryId
) -> Statement | None:
    """What the chain says last about an entry, where it is there."""
    found = await chain.find_last_links(owner, [entry_id])
    statement = read_statement(found[0].statement) if found else None
    return None if statement is None or statement.act == "delete" else statement


async def find_supersedable(
    chain: ChainReader, to_sign: Sequence[VersionToSign]
) -> dict[EntryId, SupersededEntry]:
    """By what the entries that the versions supersede are known, whosever they are."""
    ids = {older for version in to_sign for older in version.supersedes}
    found = await chain.find_superseded(ids) if ids else ()
    return {each.entry: each for each in found}


def _signature(statement: Statement, link: NewLink) -> Signature:
    return Signature(state="signed", key=statement.key, signed_at=statement.time, link=link.hash)
