"""Reconciling: comparing every row with the permission backend's tuples, and repairing drift.

Whatever the reason of a difference, the repair is settling: the rows are right. What is not
settled yet is settled first, since a change may wait where no server runs.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from diary_mcp.domain.errors import PermissionRefusedError
from diary_mcp.domain.fields import as_entry_id
from diary_mcp.domain.relations import RelationTuple
from diary_mcp.service.ports.permissions import PermissionWriter
from diary_mcp.service.ports.settlement import (
    Drift,
    DriftCounts,
    DriftFinder,
    Grant,
    SettlementStore,
    UnsettledStore,
)
from diary_mcp.service.ports.workflows import RelatedId
from diary_mcp.service.sharing.settlement import settle

# Their locks are held meanwhile, and a backend that is slow is asked about each.
_ENTRIES_AT_ONCE = 50
_GRANTS_AT_ONCE = 500


class Repairs(NamedTuple):
    """Entries whose change waited and is settled now, and the drift that was found and repaired."""

    settled: int
    drift: DriftCounts


async def count_drift(finder: DriftFinder, writer: PermissionWriter) -> DriftCounts:
    """How much rows and tuples differ; changes nothing.

    Raises:
        PermissionBackendUnavailableError: the backend gives no usable answer.
    """
    async with finder.compare(writer.scan_tuples()) as drift:
        return await drift.count()


async def preview(
    finder: DriftFinder, writer: PermissionWriter, tell: Callable[[Grant], None]
) -> DriftCounts:
    """What `reconcile` would find, and one by one whom it would let in; changes nothing.

    Raises:
        PermissionBackendUnavailableError: the backend gives no usable answer.
    """
    async with finder.compare(writer.scan_tuples()) as drift:
        after: Grant | None = None
        while grants := await drift.list_grants(after, _GRANTS_AT_ONCE):
            for grant in grants:
                tell(grant)
            after = grants[-1]
        return await drift.count()


async def reconcile(
    finder: DriftFinder, store: UnsettledStore, writer: PermissionWriter
) -> Repairs:
    """Settles what waits, finds drift, and repairs it; safe beside servers that are at work.

    Nothing is kept in memory but a page: the entries are PostgreSQL's to hold.

    Raises:
        PermissionBackendUnavailableError: what was repaired until then stays so; run it again.
        PermissionRefusedError: the backend refuses an entry's tuples, which keeps the reason. All
            the others are repaired.
    """
    repair = _Repair(store, writer)
    settled = await _settle_waiting(store, repair)
    async with finder.compare(writer.scan_tuples()) as drift:
        after: str | None = None
        while objects := await drift.list_objects(after, _ENTRIES_AT_ONCE):
            await _repair_objects(objects, drift, repair)
            after = objects[-1]
        found = await drift.count()
    if repair.refusal is not None:
        raise repair.refusal
    return Repairs(settled, found)


class _Repair:
    """Repairs that go on past what the backend refuses, and remember it."""

    def __init__(self, store: SettlementStore, writer: PermissionWriter) -> None:
        self.refusal: PermissionRefusedError | None = None
        self._store = store
        self._writer = writer

    async def settle(self, entry_ids: Sequence[RelatedId]) -> None:
        try:
            await settle(entry_ids, self._store, self._writer)
        except PermissionRefusedError as error:
            self.refusal = error

    async def remove(self, tuples: Sequence[RelationTuple]) -> None:
        try:
            await self._writer.patch(insert=(), delete=tuples)
        except PermissionRefusedError as error:
            self.refusal = error


async def _settle_waiting(store: UnsettledStore, repair: _Repair) -> int:
    settled = 0
    after: RelatedId | None = None
    while waiting := await store.list_unsettled(after, _ENTRIES_AT_ONCE):
        await repair.settle(waiting)
        settled += len(waiting)
        after = waiting[-1]
    return settled


async def _repair_objects(objects: Sequence[str], drift: Drift, repair: _Repair) -> None:
    entry_ids = {name: as_entry_id(name) for name in objects}
    known = [each for name, each in entry_ids.items() if each is not None and str(each) == name]
    if known:
        await repair.settle(known)
        # Settling looks for each in its own namespace.
        if misplaced := await drift.list_misplaced(objects):
            await repair.remove(misplaced)
    # What is not even an id was never an entry or a diary: nothing can want its tuples.
    for name in objects:
        if str(entry_ids[name]) != name:
            await repair.remove(await drift.list_tuples(name))
