"""Signatures that come from outside, keys, and what waits for a signature."""

import base64
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

import anyio.to_thread
from uuid_utils.compat import uuid7

from diary_mcp.domain.chain import Opening, PublicKey, Statement, as_said
from diary_mcp.domain.errors import (
    ConflictError,
    InvalidArgumentError,
    NotFoundError,
    SigningKeyError,
)
from diary_mcp.domain.fields import AgentName, EntryId, as_entry_id
from diary_mcp.service.chain.continuity import NO_HEAD
from diary_mcp.service.chain.key_history import CheckSignature, KeyPeriod, ToldKeys
from diary_mcp.service.chain.links import (
    ChainSigning,
    Draft,
    Drafting,
    KeyChange,
    check_key_change,
    find_last_statement,
    find_supersedable,
    not_admitted,
)
from diary_mcp.service.chain.statements import canonical, commit, read_statement
from diary_mcp.service.entries.access import not_found
from diary_mcp.service.entries.entries import find_own
from diary_mcp.service.ports.chain import (
    ChainReader,
    ChainWriter,
    Head,
    RequestedSignature,
    VersionToSign,
)
from diary_mcp.service.ports.store import Store, UnitOfWork

REQUEST_LIFETIME = timedelta(minutes=15)


class SigningState(NamedTuple):
    """Where an agent's chain ends, who may sign, and with which key this process does."""

    sequence: int
    hash: str | None
    keys: Sequence[PublicKey]
    key: PublicKey | None
    problem: str | None = None
    """Why nothing is signed at present."""


class Wanted(NamedTuple):
    """What is to be signed: an entry (or its deletion) by id or key, or a change of keys."""

    entry: str | None = None
    admit: PublicKey | None = None
    revoke: PublicKey | None = None

    @property
    def key_change(self) -> KeyChange | None:
        if self.admit is not None:
            return KeyChange("admit", self.admit)
        return None if self.revoke is None else KeyChange("revoke", self.revoke)


class Signed(NamedTuple):
    """A link that was added with a signature from outside."""

    statement: Statement
    link: str


class SigningService:
    """Signing apart from writing: later, elsewhere, or not an entry at all."""

    def __init__(
        self, store: Store, signing: ChainSigning, check_signature: CheckSignature
    ) -> None:
        self._store = store
        self._signing = signing
        self._check_signature = check_signature

    async def describe(self, agent: AgentName) -> SigningState:
        """The agent's chain, checked from where this machine has seen it end."""
        async with self._store.reading() as rows:
            head, problem = await self._signing.describe(rows.chain, agent)
        key = await self._own_key(agent)
        return SigningState(head.sequence, head.hash, head.valid_keys, key, problem)

    async def list_pending(self, owner: AgentName) -> list[EntryId]:
        """Entries that wait for a signature."""
        async with self._store.reading() as rows:
            return await rows.chain.list_pending(owner)

    async def list_dropped(self, owner: AgentName) -> list[EntryId]:
        """Signed entries that are gone; whether their owner deleted them, only the owner knows."""
        async with self._store.reading() as rows:
            return await rows.chain.list_dropped(owner)

    async def list_keys(self, owner: AgentName) -> tuple[KeyPeriod, ...]:
        """Every key that the chain has admitted, by its own word; nothing is checked."""
        keys = ToldKeys()
        async with self._store.reading() as rows:
            links = await rows.chain.list_key_links(owner)
        keys.add(link for _, link in sorted(links.items()))
        return keys.periods

    async def request(
        self, caller: AgentName, wanted: Wanted, key: PublicKey | None = None
    ) -> RequestedSignature:
        """A statement for the caller to sign; expires, and is bound to the present head.

        Args:
            caller: whose chain it is for.
            wanted: what is to be signed.
            key: the key that will sign; may be left out where there is exactly one.

        Raises:
            InvalidArgumentError: not exactly one thing is wanted, or the key is not clear.
            NotFoundError: the caller owns no such entry, and has deleted none that was signed.
        """
        _check_one(wanted)
        async with self._store.unit_of_work() as unit:
            head = await unit.chain.find_head(caller) or NO_HEAD
            drafting = Drafting(caller, head, _choose_key(head, key))
            change = wanted.key_change
            if change is not None:
                check_key_change(change, head)
                draft = drafting.key_change(change)
            else:
                draft = await _draft_of_entry(unit, drafting, wanted.entry or "")
            statement = draft.statement
            request = RequestedSignature(
                id=uuid7(),
                subject=str(statement.subject or statement.entry),
                statement=canonical(statement).decode(),
                salt=draft.salt,
                expires_at=datetime.now(UTC) + REQUEST_LIFETIME,
            )
            await unit.chain.put_request(caller, request)
            await unit.workflows.enqueue_expiry(request.id, request.expires_at)
        return request

    async def expire(self, request_id: UUID) -> None:
        """Removes a request whose time is up; does nothing where there is none."""
        async with self._store.unit_of_work() as unit:
            await unit.chain.expire_request(request_id)

    async def accept(self, caller: AgentName, request_id: UUID, signature: str) -> Signed:
        """Adds the link that was requested.

        Raises:
            NotFoundError: no such request of the caller's, or it was used or has expired.
            ConflictError: the entry or the chain changed since.
            InvalidArgumentError: the signature is not valid for the request's key.
        """
        async with self._store.unit_of_work() as unit:
            taken = await unit.chain.take_request(caller, request_id)
            if taken is None:
                raise NotFoundError(
                    f"There is no request {request_id} of yours that waits: it was used, replaced "
                    "or has expired. Ask again with diary_signature_request."
                )
            text, salt = taken
            statement = read_statement(text)
            if not await anyio.to_thread.run_sync(
                self._check_signature, statement.key, signature, text.encode()
            ):
                raise InvalidArgumentError(
                    f"The signature is not one of this request's statement by {statement.key}. "
                    "Sign exactly the bytes of `statement`, and give the 64 bytes as base64url."
                )
            await _check_entry_unchanged(unit.chain, caller, statement, salt)
            head = await unit.chain.lock_head(caller)
            _check_follows(statement, head)
            drafting = Drafting(caller, head, statement.key)
            link = drafting.follow(Draft(statement, salt), signature)
            await unit.chain.append(caller, [link], drafting.head, head)
        return Signed(statement, link.hash)

    async def sign_here(self, owner: AgentName, references: Sequence[str]) -> int:
        """Signs entries with the key of this machine; how many were.

        Raises:
            NotFoundError: the owner has no such entry.
            ConflictError: the key of this machine is not admitted, or signs nothing at present.
        """
        await self._signing.prepare(owner)
        for reference in references:
            async with self._store.unit_of_work() as unit:
                entry = await find_own(unit, owner, reference)
                if entry is None:
                    raise not_found(reference)
                await unit.chain.hold_entry(entry.id)
                versions = await unit.chain.find_to_sign(owner, [entry.id])
                signed = await self._signing.sign_versions(unit.chain, owner, versions)
                if not signed or signed[0].state != "signed":
                    raise await self._refusal(unit.chain, owner)
        return len(references)

    async def sign_deletions_here(self, owner: AgentName, references: Sequence[str]) -> int:
        """Signs that entries are deleted, by their ids; likewise.

        That an entry is gone is no reason to say that its owner deleted it: it is named here.

        Raises:
            NotFoundError: no such entry was signed.
            ConflictError: it is there; or as for `sign_here`.
        """
        await self._signing.prepare(owner)
        for reference in references:
            async with self._store.unit_of_work() as unit:
                if await find_own(unit, owner, reference) is not None:
                    raise ConflictError(f"Entry {reference} is not deleted.")
                entry_id = as_entry_id(reference)
                last = entry_id and await find_last_statement(unit.chain, owner, entry_id)
                if entry_id is None or last is None:
                    raise not_found(reference)
                if not await self._signing.sign_deletion(unit.chain, owner, entry_id, 0):
                    raise await self._refusal(unit.chain, owner)
        return len(references)

    async def _refusal(self, chain: ChainReader, owner: AgentName) -> ConflictError:
        _, problem = await self._signing.describe(chain, owner)
        return not_admitted(owner) if problem is None else ConflictError(problem)

    async def change_keys(
        self, owner: AgentName, changes: Sequence[KeyChange], *, by_takeover: bool = False
    ) -> None:
        """Admits and revokes keys by links that the key of this machine signs.

        Args:
            owner: whose chain it is.
            changes: one link each.
            by_takeover: sign with a key that nobody has admitted, for everybody to see.

        Raises:
            ConflictError: the key of this machine is not admitted, or another cannot be so.
        """
        await self._signing.prepare(owner)
        async with self._store.unit_of_work() as unit:
            await self._signing.sign_key_changes(
                unit.chain, owner, changes, by_takeover=by_takeover
            )

    async def _own_key(self, agent: AgentName) -> PublicKey | None:
        try:
            return await self._signing.own_key(agent)
        except SigningKeyError:
            return None


def sign_command(agent: AgentName, text: str) -> str:
    """The command that signs a request's statement on the machine that holds the key.

    A deletion and a change of keys are named in it.
    """
    encoded = base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()
    statement = read_statement(text)
    named = {
        "delete": "--delete ",
        "admit": f"--admit {statement.subject} ",
        "revoke": f"--revoke {statement.subject} ",
    }
    return f"diary-mcp sign --agent {agent} {named.get(statement.act, '')}{encoded}"


def _check_one(wanted: Wanted) -> None:
    given = [wanted.entry, wanted.admit, wanted.revoke]
    if sum(each is not None for each in given) != 1:
        raise InvalidArgumentError("Give exactly one of entry_id, admit and revoke.")


def _choose_key(head: Head, key: PublicKey | None) -> PublicKey:
    valid = ", ".join(head.valid_keys) or "none yet: any key may be the first"
    if key is None and len(head.valid_keys) == 1:
        return head.valid_keys[0]
    if key is None:
        raise InvalidArgumentError(
            "Give `key`, the public key that will sign (`diary-mcp key show` prints it). Admitted: "
            f"{valid}."
        )
    if head.sequence and key not in head.valid_keys:
        raise InvalidArgumentError(
            f"{key} is not admitted to your chain (admitted: {valid}). Request its admission with "
            "`admit`, and sign that with an admitted key."
        )
    return key


async def _draft_of_entry(unit: UnitOfWork, drafting: Drafting, reference: str) -> Draft:
    entry = await find_own(unit, drafting.owner, reference)
    if entry is None:
        entry_id = as_entry_id(reference)
        if entry_id is not None:
            last = await find_last_statement(unit.chain, drafting.owner, entry_id)
            if last is not None:
                return drafting.deletion(entry_id, last, 0)
        raise not_found(reference)
    if entry.signature.state == "signed":
        raise ConflictError(f"Version {entry.version} of entry {entry.id} is signed already.")
    versions = await unit.chain.find_to_sign(drafting.owner, [entry.id])
    if not versions:
        raise not_found(reference)
    drafting.supersedable = await find_supersedable(unit.chain, versions)
    return drafting.version(versions[0])


async def _check_entry_unchanged(
    chain: ChainWriter, owner: AgentName, statement: Statement, salt: str | None
) -> None:
    if statement.entry is None:
        return
    # Nobody deletes or changes it before the link is there: a salt must not outlive its entry.
    await chain.hold_entry(statement.entry)
    found = await chain.find_to_sign(owner, [statement.entry])
    is_same = (
        not found if statement.act == "delete" else await _matches(chain, found, statement, salt)
    )
    if not is_same:
        raise ConflictError(
            f"Entry {statement.entry} was changed since the request was made. Read it again, and "
            "ask again with diary_signature_request."
        )


async def _matches(
    chain: ChainReader, found: Sequence[VersionToSign], statement: Statement, salt: str | None
) -> bool:
    if not found or salt is None:
        return False
    version = found[0]
    opening = Opening(
        created_at=version.created_at, key=version.key, salt=salt, updated_at=version.updated_at
    )
    supersedable = await find_supersedable(chain, found)
    known = map(supersedable.get, version.supersedes)
    return (statement.version, statement.commitment, statement.supersedes) == (
        version.version,
        commit(version.content_hash, opening),
        as_said([each for each in known if each is not None]),
    )


def _check_follows(statement: Statement, head: Head) -> None:
    if (statement.sequence, statement.previous) != (head.sequence + 1, head.hash):
        raise ConflictError(
            "Something else was signed since the request was made, and it follows the chain as it "
            "was. Ask again with diary_signature_request."
        )
    if head.sequence and statement.key not in head.valid_keys:
        raise ConflictError(f"{statement.key} was revoked. Ask again with another key.")
