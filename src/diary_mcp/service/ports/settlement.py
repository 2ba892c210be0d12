"""What settling and reconciling need: wanted relations under a lock, and where they differ."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Literal, NamedTuple, Protocol

from diary_mcp.domain.fields import DiaryId, EntryId, Grantee
from diary_mcp.domain.relations import RelationTuple
from diary_mcp.service.ports.workflows import RelatedId


class Relations(Protocol):
    """What the rows of entries and diaries ask of the permission backend, at one moment."""

    @property
    def wanted(self) -> set[RelationTuple]:
        """The tuples that the rows ask for: of the owner, of each share, of an entry's diary."""
        ...

    @property
    def are_applied(self) -> bool:
        """Whether it is recorded already that the backend agrees with what `wanted` is."""
        ...

    @property
    def entry_ids(self) -> Sequence[EntryId]:
        """Those that are entries; one that no row knows may be either."""
        ...

    @property
    def diary_ids(self) -> Sequence[DiaryId]:
        """Those that are diaries; one that no row knows may be either."""
        ...

    @property
    def removed_grantees(self) -> Sequence[Grantee]:
        """Names that were removed: of them the backend is to know nothing in groups."""
        ...


class LockedRelations(Relations, Protocol):
    """What nobody else settles the relations of until the block that locked them ends."""

    async def mark_applied(self) -> None:
        """Records that the backend agrees with the generations that `wanted` was read at."""
        ...

    async def mark_refused(self, reason: str) -> None:
        """Keeps why the backend will not take them; `status` shows it."""
        ...


class SettlementStore(Protocol):
    def lock_relations(
        self, ids: Sequence[RelatedId]
    ) -> AbstractAsyncContextManager[LockedRelations]:
        """Locks the relations of entries and diaries against every other settling, in any process.

        Mutations are not kept out: a change that commits meanwhile raises the generation and
        has a workflow of its own.

        Raises:
            DatabaseUnavailableError: PostgreSQL gives no answer in time.
            LocksLostError: the block failed, and the locks had been lost by then.
        """
        ...

    async def read_relations(self, ids: Sequence[RelatedId]) -> Relations:
        """The same without locks, to look at.

        Raises:
            DatabaseUnavailableError: PostgreSQL gives no answer in time.
        """
        ...


class DriftCounts(NamedTuple):
    """Tuples that the rows want and the backend has not, and those it has and nobody wants."""

    missing: int
    stray: int

    @property
    def total(self) -> int:
        return self.missing + self.stray


class Grant(NamedTuple):
    """Access that the rows give and the backend does not yet, to an entry or a diary."""

    namespace: Literal["DiaryEntry", "Diary"]
    object: str
    relation: Literal["viewer", "writer"]
    grantee: Grantee


class Drift(Protocol):
    """The differences that one comparison found."""

    async def count(self) -> DriftCounts: ...

    async def list_objects(self, after: str | None, limit: int) -> list[str]:
        """Objects with a difference, sorted, after `after`; `None` begins at the first."""
        ...

    async def list_grants(self, after: Grant | None, limit: int) -> list[Grant]:
        """Whom a repair would let in, sorted, after `after`; `None` begins at the first."""
        ...

    async def list_tuples(self, object_name: str) -> list[RelationTuple]:
        """The tuples of an object as the backend has them."""
        ...

    async def list_misplaced(self, objects: Sequence[str]) -> list[RelationTuple]:
        """Of the objects those tuples that take an entry for a diary, or a diary for an entry."""
        ...


class WaitingWorkflow(NamedTuple):
    """A workflow of one entry that nobody has begun."""

    workflow_id: str
    entry_id: EntryId


class WaitingStore(SettlementStore, Protocol):
    async def list_waiting(self, limit: int) -> list[WaitingWorkflow]:
        """The oldest that wait for an entry whose last change is recorded as settled.

        None of an entry of which one is running.

        Raises:
            DatabaseUnavailableError: PostgreSQL gives no answer in time.
        """
        ...

    async def end_waiting(self, waiting: Sequence[WaitingWorkflow]) -> None:
        """Ends those that still wait, as if they had run.

        Raises:
            DatabaseUnavailableError: PostgreSQL gives no answer in time.
        """
        ...


class UnsettledStore(SettlementStore, Protocol):
    async def list_unsettled(self, after: RelatedId | None, limit: int) -> list[RelatedId]:
        """Those whose last change is not settled, or was refused; sorted, after `after`."""
        ...


class OverdueStore(Protocol):
    async def list_overdue(self, overdue: timedelta, limit: int) -> list[RelatedId]:
        """Those that are not settled, and changed so long ago, or later than it is now.

        In no order, so that several processes do not all begin with the same.
        """
        ...


class DriftFinder(Protocol):
    def compare(
        self, pages: AsyncIterator[Sequence[RelationTuple]]
    ) -> AbstractAsyncContextManager[Drift]:
        """Compares the backend's tuples with the rows.

        Entries and diaries with a change that is not settled, or that changed meanwhile, are left
        out: they are at work, not adrift.

        Raises:
            DatabaseUnavailableError: PostgreSQL gives no answer in time.
        """
        ...
