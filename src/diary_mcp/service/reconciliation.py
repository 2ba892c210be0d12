"""Reconciling: comparing every row with the permission backend's tuples, and repairing drift.

Whatever the reason of a difference, the repair is settling: the rows are right.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from diary_mcp.domain.relations import RelationTuple
from diary_mcp.service.access import as_entry_id
from diary_mcp.service.ports import PermissionWriter
from diary_mcp.service.settlement import SettlementStore, settle

_ENTRIES_AT_ONCE = 100


@dataclass(frozen=True)
class DriftCounts:
    """Tuples that the rows want and the backend has not, and those it has and nobody wants."""

    missing: int
    stray: int

    @property
    def total(self) -> int:
        return self.missing + self.stray


class Drift(Protocol):
    """The differences that one comparison found."""

    async def count(self) -> DriftCounts: ...

    async def list_objects(self, after: str, limit: int) -> list[str]:
        """Objects with a difference, sorted, after `after`."""
        ...

    async def list_tuples(self, object_name: str) -> list[RelationTuple]:
        """The tuples of an object as the backend has them."""
        ...


class DriftFinder(Protocol):
    def compare(
        self, pages: AsyncIterator[Sequence[RelationTuple]]
    ) -> AbstractAsyncContextManager[Drift]:
        """Compares the backend's entry tuples with the rows.

        Entries with a change that is not settled, or that changed meanwhile, are left out: they
        are at work, not adrift.

        Raises:
            DatabaseUnavailableError: PostgreSQL gives no answer in time.
        """
        ...


async def count_drift(finder: DriftFinder, writer: PermissionWriter) -> DriftCounts:
    """How much rows and tuples differ; changes nothing.

    Raises:
        PermissionBackendUnavailableError: the backend gives no usable answer.
    """
    async with finder.compare(writer.scan_entry_tuples()) as drift:
        return await drift.count()


async def reconcile(
    finder: DriftFinder, store: SettlementStore, writer: PermissionWriter
) -> DriftCounts:
    """Finds drift and repairs it; safe beside servers that are at work.

    Returns:
        What was found, all of it repaired.

    Raises:
        PermissionBackendUnavailableError: what was repaired until then stays so; run it again.
        PermissionRefusedError: the backend refuses an entry's tuples; the entry keeps the reason.
    """
    async with finder.compare(writer.scan_entry_tuples()) as drift:
        after = ""
        while objects := await drift.list_objects(after, _ENTRIES_AT_ONCE):
            entry_ids = {name: as_entry_id(name) for name in objects}
            known = [entry_id for name, entry_id in entry_ids.items() if str(entry_id) == name]
            await settle([each for each in known if each is not None], store, writer)
            # What is not even an id was never an entry: nothing can want its tuples.
            for name in objects:
                if str(entry_ids[name]) != name:
                    await writer.patch(insert=(), delete=await drift.list_tuples(name))
            after = objects[-1]
        return await drift.count()
