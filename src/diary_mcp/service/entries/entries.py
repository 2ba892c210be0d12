"""Writing, reading, correcting and deleting entries."""

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

import rfc8785

from diary_mcp.domain.credentials import CredentialDoor
from diary_mcp.domain.diaries import MAIN, DiaryName
from diary_mcp.domain.entry import (
    CreatedEntry,
    Entry,
    EntryChanges,
    EntryDiary,
    EntryDraft,
    Signature,
)
from diary_mcp.domain.errors import (
    ConflictError,
    ForbiddenError,
    InvalidArgumentError,
    NotFoundError,
)
from diary_mcp.domain.fields import AgentName, EntryId
from diary_mcp.domain.version import EntryRecord, content_hash, new_record, text_of
from diary_mcp.service.chain.links import ChainSigning, HeadSource, signable
from diary_mcp.service.entries.access import Access, not_found
from diary_mcp.service.entries.similarity import Look, SimilarityService
from diary_mcp.service.entries.target_diary import Places, Target
from diary_mcp.service.ports.entries import Readership, RememberedRequest
from diary_mcp.service.ports.store import Store, UnitOfWork
from diary_mcp.service.ports.workflows import PermissionChange


class EntryService:
    """Entries. Each change is one unit of work."""

    def __init__(
        self,
        store: Store,
        access: Access,
        signing: ChainSigning,
        similarity: SimilarityService,
        *,
        door: CredentialDoor,
        places: Places,
    ) -> None:
        self._store = store
        self._access = access
        self._signing = signing
        self._similarity = similarity
        self._door = door
        self._places = places

    async def create(
        self,
        caller: AgentName,
        draft: EntryDraft,
        *,
        idempotency_key: str | None = None,
        session: str | None = None,
        current: str | None = None,
        allow_secret: bool = False,
    ) -> CreatedEntry:
        """Adds an entry; its row, its workflow and its signature commit together.

        With it come earlier entries that say nearly the same.

        Args:
            caller: its owner.
            draft: what it says.
            idempotency_key: an earlier call's with it has made the entry.
            session: that of a draft that names none; another one on a repeated call is no other
                call.
            current: the diary of a draft that names none; made by the first entry in it.
            allow_secret: whether what looks like a credential is let through, and tagged.

        Raises:
            InvalidArgumentError: it holds what looks like a credential.
            NotFoundError: `draft.supersedes` names no entry of the caller's, or `draft.diary` no
                diary that it may read.
            ForbiddenError: the caller may only read the diary.
            ConflictError: the key is taken, the entry to supersede is superseded, or the
                idempotency key was used with other arguments.
        """
        self._door.check("idempotency_key", idempotency_key)
        self._door.check("session", session)
        draft = self._door.admit(draft, allow=allow_secret)
        target = await self._places.target(caller, draft.diary, current)
        in_session = draft.model_copy(update={"session": draft.session or session})
        record = new_record(in_session, caller, datetime.now(UTC))
        look = await self._similarity.begin(record)
        await self._signing.prepare(caller)
        write = partial(self._write, record, draft, target, idempotency_key, look=look)
        entry = await self._signing.attempt(caller, write)
        similar = (
            await self._similarity.finish(look)
            if entry.id == record.id
            # An earlier call has written it.
            else await self._similarity.find_similar(text_of(entry), entry.diary and entry.diary.id)
        )
        return CreatedEntry(**vars(entry), similar=tuple(similar))

    async def _write(
        self,
        record: EntryRecord,
        draft: EntryDraft,
        target: Target,
        idempotency_key: str | None,
        head: HeadSource,
        *,
        look: Look | None,
    ) -> Entry:
        caller = record.owner
        async with self._store.unit_of_work() as unit:
            earlier = await _claim(unit, record, draft, idempotency_key)
            if earlier is None:
                diary = None if target.is_own_main else await self._places.hold(unit, target)
                supersedes = await _find_superseded(unit, target.reader, draft.supersedes, diary)
                record = replace(record, supersedes=supersedes, diary_id=diary and diary.id)
                superseded_by = await unit.entry_changes.insert(record)
                await unit.workflows.enqueue(PermissionChange("grant_ownership", (record.id,)))
                signature = await self._sign_new(unit, record, superseded_by, head)
                if look is not None:
                    unit.read_behind(partial(look.read, diary_id=record.diary_id))
                return _as_created(record, superseded_by, signature, diary)
        return await self._get_created_earlier(caller, earlier, idempotency_key)

    async def get(self, caller: AgentName, reference: str) -> Entry:
        """The entry, by id or by a key of the caller's own.

        Raises:
            NotFoundError: there is none that the caller may read.
        """
        return await self._access.get(caller, reference)

    async def update(
        self,
        caller: AgentName,
        reference: str,
        expected_version: int,
        changes: EntryChanges,
        *,
        current: str | None = None,
    ) -> Entry:
        """Makes the next version; the present one stays in the history.

        Where the entry says all of it already, it stays as it is, at the version that it has.

        With a diary the entry moves there, and its `move_entry` workflow commits with it; into the
        current one also where it is not there yet. The
        owner of a diary may put another's entry out of it: into the `main` of whose it is. That
        makes no version, since only its owner could sign one.

        Raises:
            ConflictError: the entry is not at `expected_version` any more, supersedes something
                already, or what it is to supersede is superseded; or it would move away from
                what it supersedes of another owner's.
            ForbiddenError: the caller may only read it, or the diary that it is to move to.
            InvalidArgumentError: nothing changes, or it holds what looks like a credential.
            NotFoundError: there is none that the caller may read, or `changes.supersedes` names
                none of the caller's, nor any in the diary that the entry is in or moves to.
        """
        if not changes.model_fields_set or changes == EntryChanges(supersedes=[]):
            raise InvalidArgumentError(
                "Nothing to change: give at least one of title, content, type, tags, importance, "
                "supersedes, diary."
            )
        target = (
            None
            if changes.diary is None
            else await self._places.target(caller, changes.diary, current)
        )
        beside = target or await self._find_beside(caller, reference, changes.supersedes or ())
        await self._signing.prepare(caller)
        async with self._store.unit_of_work() as unit:
            entry = await find_own(unit, caller, reference)
            if entry is not None:
                diary = None if beside is None else await self._places.hold(unit, beside)
                reader = Readership(caller) if beside is None else beside.reader
                is_moving = target is not None and diary != entry.diary
                # It may have been moved a moment ago.
                shared = diary if is_moving or diary == entry.diary else None
                older = await _find_superseded(unit, reader, changes.supersedes or (), shared)
                revised = _revised(entry, self._door.admit_changes(entry, changes), older)
                is_expected = entry.version == expected_version
                if is_expected and not is_moving and _says_the_same(revised, entry):
                    return entry
                if not is_expected or not await unit.entry_changes.update(entry, revised):
                    raise _outdated(entry, expected_version)
                if revised.supersedes != entry.supersedes:
                    await unit.entry_changes.supersede(entry.id, revised.supersedes)
                if is_moving:
                    revised = await _move(unit, revised, diary)
                await unit.workflows.request_indexing()
                signatures = await self._signing.sign_versions(
                    unit.chain, caller, [signable(revised)]
                )
                return revised.model_copy(update={"signature": signatures[0]})
        if changes.model_fields_set == {"diary"} and changes.diary == MAIN:
            return await self._put_out(caller, reference, expected_version)
        raise await self._access.refusal(caller, reference)

    async def _find_beside(
        self, caller: AgentName, reference: str, superseded: Sequence[str]
    ) -> Target | None:
        """The diary that an entry of the caller's is in, where another's there is superseded."""
        own = Readership(caller)
        async with self._store.reading() as rows:
            older = [await rows.entries.find(own, each) for each in superseded]
            if all(each is not None and each.role == "owner" for each in older):
                return None
            entry = await rows.entries.find(own, reference)
        if entry is None or entry.role != "owner" or entry.diary is None:
            return None
        name = DiaryName(entry.diary.owner, entry.diary.name)
        with suppress(ForbiddenError, NotFoundError):
            return await self._places.target(caller, name.seen_by(caller), None)
        return None

    async def _put_out(self, caller: AgentName, reference: str, expected_version: int) -> Entry:
        """Puts another's entry out of a diary of the caller's."""
        entry = await self._access.get(caller, reference)
        diary = entry.diary
        if diary is None or diary.owner != caller:
            raise await self._access.refusal(caller, reference)
        async with self._store.unit_of_work() as unit:
            generation = await raise_generation(unit, entry.owner, entry)
            held = await unit.diaries.hold(Readership(caller), DiaryName(caller, diary.name))
            now = await unit.entries.find(Readership(caller), str(entry.id))
            if held is None or now is None or now.diary is None or now.diary.id != held.id:
                raise not_found(reference)
            if now.version != expected_version:
                raise _outdated(now, expected_version)
            await unit.entry_changes.move(entry.id, None)
            await unit.workflows.enqueue(PermissionChange("move_entry", (entry.id,), generation))
            return now.model_copy(update={"diary": None, "sharing": "pending"})

    async def delete(self, caller: AgentName, reference: str) -> EntryId:
        """Removes the content, the history and the shares for good.

        The removal and its `remove_entry_relations` workflow commit together.

        Raises:
            ForbiddenError: the caller may only read it.
            NotFoundError: there is none that the caller may read.
        """
        await self._signing.prepare(caller)
        async with self._store.unit_of_work() as unit:
            entry = await find_own(unit, caller, reference)
            if entry is not None:
                generation = await raise_generation(unit, caller, entry)
                await unit.entry_changes.delete(entry.id)
                await unit.workflows.enqueue(
                    PermissionChange("remove_entry_relations", (entry.id,), generation)
                )
                await self._signing.sign_deletion(unit.chain, caller, entry.id, entry.version)
                return entry.id
        raise await self._access.refusal(caller, reference)

    async def _sign_new(
        self,
        unit: UnitOfWork,
        record: EntryRecord,
        superseded_by: EntryId | None,
        head: HeadSource,
    ) -> Signature:
        versions = [signable(record)]
        if superseded_by is not None:
            waiting = await unit.chain.find_to_sign(record.owner, [superseded_by])
            versions += [version for version in waiting if version.wants_signature]
        signatures = await self._signing.sign_versions(
            unit.chain, record.owner, versions, head=head
        )
        return signatures[0]

    async def _get_created_earlier(
        self, caller: AgentName, earlier: RememberedRequest, idempotency_key: str | None
    ) -> Entry:
        try:
            return await self._access.get(caller, str(earlier.entry_id))
        except NotFoundError as error:
            raise NotFoundError(
                f"The entry made with idempotency_key {idempotency_key!r} was deleted since; "
                "use a new key to write another."
            ) from error


async def _move(unit: UnitOfWork, entry: Entry, diary: EntryDiary | None) -> Entry:
    if await unit.entry_changes.would_leave_superseded(entry.id, diary and diary.id):
        raise ConflictError(
            "It supersedes an entry of another agent's in the diary that it is in, which would "
            "have nothing in its place there. Leave it where it is, or delete it."
        )
    generation = await raise_generation(unit, entry.owner, entry)
    await unit.entry_changes.move(entry.id, diary and diary.id)
    await unit.workflows.enqueue(PermissionChange("move_entry", (entry.id,), generation))
    return entry.model_copy(update={"diary": diary, "sharing": "pending"})


async def find_own(unit: UnitOfWork, caller: AgentName, reference: str) -> Entry | None:
    """The caller's own entry, or `None` where it has none of this id or key."""
    entry = await unit.entries.find(Readership(caller), reference)
    return entry if entry is not None and entry.role == "owner" else None


async def raise_generation(unit: UnitOfWork, caller: AgentName, entry: Entry) -> int:
    """Counts one more permission change of an entry, and holds it for this unit of work.

    Raises:
        NotFoundError: it was deleted a moment ago.
    """
    generation = await unit.entry_changes.raise_generation(entry.id, caller)
    if generation is None:
        raise not_found(str(entry.id))
    return generation


async def _claim(
    unit: UnitOfWork, record: EntryRecord, draft: EntryDraft, idempotency_key: str | None
) -> RememberedRequest | None:
    """The earlier call with this key, or `None` where this is the first."""
    if idempotency_key is None:
        return None
    said = draft.model_dump(mode="json")
    if len(draft.supersedes) <= 1:
        # As releases wrote it that knew no more than one.
        said["supersedes"] = next(iter(draft.supersedes), None)
    arguments: bytes = rfc8785.dumps(said)
    request = RememberedRequest(hashlib.sha256(arguments).hexdigest(), record.id)
    holder = await unit.requests.claim(record.owner, idempotency_key, request)
    if holder == request:
        return None
    if holder.arguments_hash != request.arguments_hash:
        raise ConflictError(
            f"idempotency_key {idempotency_key!r} was used for entry {holder.entry_id} with other "
            "arguments; repeat the first call's arguments, or use a new key."
        )
    return holder


async def _find_superseded(
    unit: UnitOfWork,
    reader: Readership,
    references: Sequence[str],
    diary: EntryDiary | None = None,
) -> tuple[EntryId, ...]:
    """The entries that are to be superseded, each once, by id.

    They are the reader's own, or in `diary`, which it may write into and writes to now.
    """
    found: set[EntryId] = set()
    for reference in references:
        entry = await unit.entries.find(reader, reference)
        is_there = entry is not None and diary is not None and entry.diary == diary
        if entry is None or not (entry.role == "owner" or is_there):
            raise NotFoundError(
                f"`supersedes` names no entry of yours: {reference!r}. Give the id or key of an "
                "entry that you own, or the id of one in the diary that this entry is in; "
                "diary_list shows them."
            )
        found.add(entry.id)
    return tuple(sorted(found))


def _now_superseded(entry: Entry, older: Sequence[EntryId]) -> Sequence[EntryId]:
    """What the entry supersedes, once it is to supersede these."""
    if set(older) <= set(entry.supersedes):
        return entry.supersedes
    if entry.id in older:
        raise InvalidArgumentError("An entry cannot supersede itself; name another in supersedes.")
    if entry.supersedes:
        raise ConflictError(
            f"Entry {entry.id} supersedes {entry.supersedes[0]} already, and supersedes is set "
            "once. Write a new entry that supersedes the others with diary_create."
        )
    return older


def _as_created(
    record: EntryRecord,
    superseded_by: EntryId | None,
    signature: Signature,
    diary: EntryDiary | None,
) -> Entry:
    return Entry(
        **vars(record),
        diary=diary,
        superseded_by=superseded_by,
        signature=signature,
        role="owner",
        sharing="pending",
    )


def _revised(entry: Entry, changes: EntryChanges, older: Sequence[EntryId]) -> Entry:
    given = changes.model_dump(exclude_unset=True, exclude={"supersedes", "diary"})
    # Only a title can be taken away; any other field that is null stays as it is.
    changed = {name: value for name, value in given.items() if value is not None or name == "title"}
    tags = entry.tags if changes.tags is None else tuple(changes.tags)
    version, now = entry.version + 1, datetime.now(UTC)
    revised = entry.model_copy(
        update={
            **changed,
            "tags": tags,
            "supersedes": _now_superseded(entry, older),
            "version": version,
            "updated_at": now,
        }
    )
    return revised.model_copy(update={"content_hash": content_hash(revised)})


def _says_the_same(revised: Entry, entry: Entry) -> bool:
    unsaid = {"version": 0, "updated_at": entry.updated_at, "content_hash": ""}
    return revised.model_copy(update=unsaid) == entry.model_copy(update=unsaid)


def _outdated(entry: Entry, expected_version: int) -> ConflictError:
    if entry.version == expected_version:
        return ConflictError(
            f"Entry {entry.id} was changed a moment ago; read it again with diary_get, and repeat "
            "the change with its version as expected_version."
        )
    return ConflictError(
        f"Entry {entry.id} is at version {entry.version}, not {expected_version}. Read it again "
        f"with diary_get, and repeat the change with expected_version {entry.version}."
    )
