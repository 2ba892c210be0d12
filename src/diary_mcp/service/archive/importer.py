"""Taking entries in from files, batch by batch.

Each batch is one unit of work: its rows, and one workflow that grants all its new entries. What
supersedes what is linked at the end of a run, over all that is there: the outcome then depends
neither on where batches end nor on a run that was killed.
"""

import unicodedata
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import PurePath

from uuid_utils.compat import uuid7

from diary_mcp.domain.entry import EntryDraft
from diary_mcp.domain.errors import ConflictError
from diary_mcp.domain.fields import AgentName, DiaryId, EntryId, visible
from diary_mcp.domain.version import EntryRecord, content_hash, new_record, write_version
from diary_mcp.service.archive.supersession import (
    base_name,
    choose_supersessions,
    names_superseded,
)
from diary_mcp.service.chain.links import ChainSigning, signable
from diary_mcp.service.chain.proofs import covers, with_proofs
from diary_mcp.service.chain.statements import read_proof
from diary_mcp.service.ports.archive import ArchiveReader
from diary_mcp.service.ports.chain import ChainReader
from diary_mcp.service.ports.store import Store, UnitOfWork
from diary_mcp.service.ports.workflows import PermissionChange

_ATTEMPTS = 5


@dataclass(frozen=True)
class ImportedEntry:
    """One entry as a file has it. `draft.supersedes` are names, which need not be there."""

    draft: EntryDraft
    source_hash: str
    entry_id: EntryId | None = None
    """The id that it had where it was exported; kept where it is free."""
    name: str | None = None
    """Its file's name without `.md`, which may differ from its key."""
    front_matter: str | None = None
    unknown_keys: frozenset[str] = frozenset()
    """What the front matter says beyond the fields of an entry."""
    origin: str | None = None
    """What the file says of its own signature, as canonical JSON."""
    place: str = ""
    """The file or line that it is in, for people."""
    path: str | None = None
    """The file's place on this machine; of a line there is none."""
    other_keys: Sequence[str] = ()
    """Those that it may have from another run, or gets where another file's entry has its own."""
    told: Mapping[str, object] = field(default_factory=dict[str, object])
    """What a line says beside what makes an entry. It is not believed, only checked."""

    @property
    def is_line(self) -> bool:
        """Whether it is a line of JSON: that has no file of its own, and so no name."""
        return self.name is None


@dataclass(frozen=True)
class BatchOutcome:
    """What became of the entries of one batch."""

    imported: int
    unchanged: int
    refused: Sequence[tuple[str, str]] = ()
    """What would overwrite a change in the diary: where it is, and why not."""


IsOwnExport = Callable[[ImportedEntry, EntryRecord], bool]
"""Whether a file is, to the byte, what an export of the entry gives now."""
IsThere = Callable[[str], bool]
"""Whether there is a file at a path."""


HoldDiary = Callable[[UnitOfWork, str], Awaitable[DiaryId | None]]
"""Finds the diary of a name to write into, which does not go before the unit of work ends."""


class EntryImport:
    """One run of an import for one owner."""

    def __init__(
        self,
        store: Store,
        owner: AgentName,
        is_own_export: IsOwnExport,
        signing: ChainSigning | None = None,
        *,
        is_there: IsThere,
        hold_diary: HoldDiary | None = None,
        may_overwrite: bool = False,
    ) -> None:
        self._store = store
        self._owner = owner
        # Without it, what is imported waits for its signature.
        self._signing = signing or ChainSigning(None)
        self._is_own_export = is_own_export
        self._keys_by_name: dict[str, str] = {}
        self._is_there = is_there
        self._hold_diary = hold_diary
        self._may_overwrite = may_overwrite

    async def compare(self, batch: Sequence[ImportedEntry]) -> BatchOutcome:
        """What `write` would do; changes nothing."""
        async with self._store.reading() as rows:
            return (await self._plan(rows.archive, rows.chain, batch)).outcome

    async def write(self, batch: Sequence[ImportedEntry]) -> BatchOutcome:
        """Adds what is new and makes new versions of what changed, all of it or nothing.

        Raises:
            ConflictError: others kept changing the same entries.
        """
        await self._signing.prepare(self._owner)
        for _ in range(_ATTEMPTS - 1):
            try:
                return await self._write_once(batch)
            except ConflictError:
                continue
        return await self._write_once(batch)

    async def link(self) -> int:
        """Links every claim whose entry is there now, and counts the new links.

        Where several claim one entry, the first by date, then key, gets it; the others keep
        their claim. A claim that would close a circle is not linked.
        """
        async with self._store.unit_of_work() as unit:
            claims = await unit.archive.list_claims(self._owner)
            told = [visible(claim.name) for claim in claims]
            names = {name for claim in told for name in (claim, base_name(claim))}
            names.update(self._keys_by_name[name] for name in names & self._keys_by_name.keys())
            # A key that a tool gave may have its letters taken apart.
            names |= {unicodedata.normalize("NFD", name) for name in names}
            candidates = await unit.archive.find_superseded_by_nothing(self._owner, names)
            if not candidates:
                return 0
            links = await unit.archive.list_supersessions(self._owner)
            chosen = choose_supersessions(claims, candidates, links, self._keys_by_name)
            if not chosen:
                return 0
            linked = await unit.archive.link(chosen)
            versions = await unit.chain.find_to_sign(self._owner, linked)
            wanted = [version for version in versions if version.wants_signature]
            await self._signing.sign_versions(unit.chain, self._owner, wanted)
            return len(linked)

    async def _write_once(self, batch: Sequence[ImportedEntry]) -> BatchOutcome:
        async with self._store.unit_of_work() as unit:
            plan = await self._plan(unit.archive, unit.chain, batch)
            if plan.changed:
                await unit.archive.lock([previous.id for previous, _ in plan.changed])
                plan = await self._plan(unit.archive, unit.chain, batch)
            for previous, revised in plan.changed:
                await unit.archive.replace(previous, revised)
            if plan.new:
                await _add(unit, await self._placed(unit, plan.new))
            elif plan.changed:
                await unit.workflows.request_indexing()
            await self._sign(unit, plan)
        self._keys_by_name.update(plan.keys_by_name)
        return plan.outcome

    async def _placed(
        self, unit: UnitOfWork, records: Sequence[EntryRecord]
    ) -> Sequence[EntryRecord]:
        """The records with the ids of the diaries that they name."""
        ids: dict[str, DiaryId | None] = {}
        if self._hold_diary is not None:
            for name in sorted({each.diary_name for each in records if each.diary_name}):
                ids[name] = await self._hold_diary(unit, name)
        return [replace(record, diary_id=ids.get(record.diary_name or "")) for record in records]

    async def _sign(self, unit: UnitOfWork, plan: "_Plan") -> None:
        """Signs everything that the batch imports, as imported by the owner."""
        revised = [after for _, after in plan.changed]
        origins = [(record.id, 1, record.origin) for record in plan.new]
        origins += [(after.id, after.version, after.origin) for after in revised]
        kept = [
            (entry_id, version, origin)
            for entry_id, version, origin in origins
            if origin is not None
        ]
        if kept:
            await unit.chain.put_origins(kept)
        versions = [signable(record) for record in (*plan.new, *revised)]
        await self._signing.sign_versions(unit.chain, self._owner, versions)

    async def _plan(
        self, archive: ArchiveReader, chain: ChainReader, batch: Sequence[ImportedEntry]
    ) -> "_Plan":
        found = await _find_present(archive, chain, self._owner, batch)
        now = datetime.now(UTC)
        plan = _Plan()
        for named in batch:
            entry, stored = self._find_stored(named, found, plan)
            if entry.name is not None and entry.draft.key is not None:
                plan.keys_by_name[visible(entry.name)] = entry.draft.key
            if stored is None:
                plan.new.append(_record(found.with_free_name(entry), self._owner, now))
            elif self._changes_nothing(entry, stored):
                plan.unchanged += 1
            elif not self._may_overwrite and (reason := found.reason_to_refuse(entry, stored)):
                plan.refused.append((entry.place, reason))
            else:
                plan.changed.append((stored, _revised(entry, stored, now)))
        return plan

    def _find_stored(
        self, entry: ImportedEntry, found: "_Present", plan: "_Plan"
    ) -> "tuple[ImportedEntry, EntryRecord | None]":
        """The entry that a file stands for; with the key that it gets where another file has its.

        A file is the same where its path is, where it says which entry it is, where it stands in
        a folder that was exported to, and where nothing is left at the path it was imported from.
        """
        if entry.draft.key is None:
            return entry, found.present(entry)
        named = [
            replace(entry, draft=entry.draft.model_copy(update={"key": key}))
            for key in (entry.draft.key, *entry.other_keys)
        ]
        present = [(each, found.present(each)) for each in named]
        chosen = next(
            (pair for pair in present if pair[1] and pair[1].source_path == entry.path is not None),
            None,
        ) or next(
            (
                (each, stored)
                for each, stored in present
                if each.draft.key not in plan.new_keys
                and len(each.draft.key or "") >= len(entry.draft.key)
                and (stored is None or self._is_same_file(each, stored, found))
            ),
            present[0],
        )
        if chosen[1] is None and chosen[0].draft.key is not None:
            plan.new_keys.add(chosen[0].draft.key)
        return chosen

    def _is_same_file(self, entry: ImportedEntry, stored: EntryRecord, found: "_Present") -> bool:
        if entry.path is None or stored.source_path is None:
            return True
        proof = read_proof(entry.origin)
        return (
            (proof is not None and proof.statement.entry == stored.id)
            or found.exported_at(entry) is not None
            or not self._is_there(stored.source_path)
            or self._changes_nothing(entry, stored)
        )

    def _changes_nothing(self, entry: ImportedEntry, stored: EntryRecord) -> bool:
        if entry.source_hash == stored.source_hash:
            return True
        if self._is_own_export(entry, stored):
            return True
        was_imported = stored.source_hash is not None
        if entry.is_line:
            says_more = entry.front_matter not in {None, stored.front_matter}
        else:
            says_more = was_imported or bool(entry.unknown_keys)
        return not says_more and _says_the_same(entry.draft, stored)


@dataclass
class _Plan:
    new: list[EntryRecord] = field(default_factory=list[EntryRecord])
    changed: list[tuple[EntryRecord, EntryRecord]] = field(
        default_factory=list[tuple[EntryRecord, EntryRecord]]
    )
    unchanged: int = 0
    refused: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    keys_by_name: dict[str, str] = field(default_factory=dict[str, str])
    new_keys: set[str] = field(default_factory=set[str])

    @property
    def outcome(self) -> BatchOutcome:
        return BatchOutcome(len(self.new) + len(self.changed), self.unchanged, self.refused)


@dataclass(frozen=True)
class _Present:
    """What is there already of a batch."""

    by_key: Mapping[str, EntryRecord]
    by_id: Mapping[EntryId, EntryRecord]
    by_hash: Mapping[str, EntryRecord]
    taken_ids: set[EntryId]
    exports: Mapping[str, datetime]

    def exported_at(self, entry: ImportedEntry) -> datetime | None:
        """When the folder that the file is in was exported to last."""
        return None if entry.path is None else self.exports.get(_folder(entry.path))

    def reason_to_refuse(self, entry: ImportedEntry, stored: EntryRecord) -> str | None:
        """Why the file must not replace what the entry says: it was made from an earlier version.

        It was not where no tool has changed the entry, where it says which version it was, and
        where it is in a folder that the present version was exported to.
        """
        if stored.version == (stored.imported_version or 1):
            return None
        proof = read_proof(entry.origin)
        statement = proof and proof.statement
        if statement and (statement.entry, statement.version) == (stored.id, stored.version):
            return None
        if entry.entry_id == stored.id and entry.told.get("version") == stored.version:
            return None
        exported_at = self.exported_at(entry)
        if exported_at is not None and exported_at > stored.updated_at:
            return None
        return (
            f"differs, and so does its entry, which was changed in the diary since (it has version "
            f"{stored.version}). Export it and put the two together, or import with --force: the "
            "version in the diary then stays in its history."
        )

    def present(self, entry: ImportedEntry) -> EntryRecord | None:
        if entry.draft.key is not None:
            return self.by_key.get(entry.draft.key)
        if entry.entry_id is not None:
            by_id = self.by_id.get(entry.entry_id)
            return by_id or self.by_key.get(str(entry.entry_id))
        return self.by_hash.get(entry.source_hash)

    def with_free_name(self, entry: ImportedEntry) -> ImportedEntry:
        """The entry without an id that is taken.

        Without a key the id was its only name, by which the next import finds it again; it
        becomes the key.
        """
        if entry.entry_id not in self.taken_ids:
            return entry
        key = entry.draft.key or str(entry.entry_id)
        return replace(entry, entry_id=None, draft=entry.draft.model_copy(update={"key": key}))


async def _find_present(
    archive: ArchiveReader, chain: ChainReader, owner: AgentName, batch: Sequence[ImportedEntry]
) -> _Present:
    ids = {entry.entry_id for entry in batch if entry.entry_id is not None}
    keys = {
        key
        for entry in batch
        if entry.draft.key is not None
        for key in (entry.draft.key, *entry.other_keys)
    }
    found = await archive.find_stored(
        owner,
        keys=keys | set(map(str, ids)),
        ids=ids,
        keyless_hashes={
            entry.source_hash
            for entry in batch
            if entry.draft.key is None and entry.entry_id is None
        },
    )
    # A file that an export wrote is recognised by what it says, its signature too.
    stored = await with_proofs(chain, owner, found)
    return _Present(
        by_key={entry.key: entry for entry in stored if entry.key is not None},
        by_id={entry.id: entry for entry in stored},
        by_hash={
            entry.source_hash: entry
            for entry in stored
            if entry.key is None and entry.source_hash is not None
        },
        taken_ids=await archive.find_taken_ids(ids),
        exports=await archive.find_exports(
            owner, {_folder(entry.path) for entry in batch if entry.path is not None}
        ),
    )


async def _add(unit: UnitOfWork, records: Sequence[EntryRecord]) -> None:
    await unit.archive.insert_many(records)
    # An id that an export brought back may name a finished workflow, which would never run again.
    await unit.workflows.enqueue(
        PermissionChange(
            "grant_ownership",
            tuple(record.id for record in records),
            repetition=f"import:{uuid7()}",
        )
    )


def _record(entry: ImportedEntry, owner: AgentName, now: datetime) -> EntryRecord:
    return replace(
        new_record(entry.draft, owner, now, entry_id=entry.entry_id),
        diary_name=entry.draft.diary,
        source_keys=entry.draft.supersedes,
        source_hash=entry.source_hash,
        front_matter=entry.front_matter,
        imported_version=1,
        source_path=entry.path,
        origin=_covering(entry),
    )


def _revised(entry: ImportedEntry, stored: EntryRecord, now: datetime) -> EntryRecord:
    draft = entry.draft
    number = stored.version + 1
    version = write_version(
        draft, entry_id=stored.id, owner=stored.owner, number=number, date=stored.date, now=now
    )
    return replace(
        stored,
        **vars(version),
        supersedes=stored.supersedes if _claims_the_same(draft.supersedes, stored) else (),
        source_keys=draft.supersedes,
        source_hash=entry.source_hash,
        front_matter=stored.front_matter if entry.front_matter is None else entry.front_matter,
        imported_version=number,
        source_path=entry.path or stored.source_path,
        origin=_covering(entry),
    )


def _covering(entry: ImportedEntry) -> str | None:
    """What the file says of its signature, unless it was corrected since it was signed."""
    proof = read_proof(entry.origin)
    return entry.origin if proof is not None and covers(proof, entry.draft) else None


def _folder(path: str) -> str:
    return str(PurePath(path).parent)


def _says_the_same(draft: EntryDraft, stored: EntryRecord) -> bool:
    said = write_version(
        draft,
        entry_id=stored.id,
        owner=stored.owner,
        number=stored.version,
        date=stored.date,
    )
    return said.content_hash == content_hash(stored) and _claims_the_same(draft.supersedes, stored)


def _claims_the_same(claims: Sequence[str], stored: EntryRecord) -> bool:
    if not claims:
        return not (stored.source_keys or stored.supersedes)
    return list(claims) == list(stored.source_keys) or names_superseded(claims, stored)
