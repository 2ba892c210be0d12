"""What the permission backend must give.

The service gets a `PermissionReader`; only the workflows and `reconcile` get a
`PermissionWriter`, so no use case can change a tuple.
"""

from collections.abc import AsyncIterator, Collection, Sequence
from typing import Protocol

from diary_mcp.domain.fields import AgentName, DiaryId, EntryId, Grantee, GroupName
from diary_mcp.domain.relations import RelationTuple


class PermissionReader(Protocol):
    """Questions to the permission backend. Every answer is current, none is cached.

    Raises (every method):
        PermissionBackendUnavailableError: no usable answer in time; never a silent no or yes.
    """

    async def check_view(self, agent: AgentName, entry_ids: Collection[EntryId]) -> set[EntryId]:
        """Those of `entry_ids` that `agent` may view, directly, through a group or its diary."""
        ...

    async def check_diaries(
        self, agent: AgentName, diary_ids: Collection[DiaryId], *, to_write: bool = False
    ) -> set[DiaryId]:
        """Those of `diary_ids` whose entries `agent` may view, or that it may write into."""
        ...

    async def list_groups(self, agent: AgentName) -> set[GroupName]:
        """Groups that `agent` belongs to, directly or through a nested group."""
        ...


class PermissionWriter(Protocol):
    """Reads and writes the tuples of entries and diaries.

    Raises (every method):
        PermissionBackendUnavailableError: it is unknown whether a write was applied.
        PermissionRefusedError: the backend refuses the request for good; nothing was written.
    """

    async def list_entry_tuples(self, entry_ids: Collection[EntryId]) -> set[RelationTuple]:
        """Every tuple whose object is one of the entries."""
        ...

    async def list_diary_tuples(self, diary_ids: Collection[DiaryId]) -> set[RelationTuple]:
        """Every tuple whose object is one of the diaries."""
        ...

    async def list_group_tuples(self, grantee: Grantee) -> set[RelationTuple]:
        """Every tuple on a group whose subject is `grantee`, and if it is a group, those on it."""
        ...

    async def patch(
        self, *, insert: Collection[RelationTuple], delete: Collection[RelationTuple]
    ) -> None:
        """Applies the whole difference atomically; what is there already, or gone, is no error."""
        ...

    def scan_tuples(self) -> AsyncIterator[Sequence[RelationTuple]]:
        """Every tuple of the namespaces `DiaryEntry` and `Diary`, page by page, in no order.

        One page is in memory at a time. Tuples that come or go meanwhile may be missed.
        """
        ...


class GroupMembers(Protocol):
    """Who belongs to a group. The permission backend alone keeps it: no row says so too.

    Raises (every method):
        PermissionBackendUnavailableError: no usable answer in time.
        PermissionRefusedError: the backend refuses the request for good; nothing was written.
    """

    async def add(self, group: GroupName, member: Grantee) -> None:
        """Makes `member` a direct member; nothing changes where it is one.

        Raises:
            InvalidArgumentError: a group that would nest more than two levels deep.
        """
        ...

    async def remove(self, group: GroupName, member: Grantee) -> bool:
        """`False` where it was no direct member."""
        ...

    async def list_members(self, group: GroupName) -> list[Grantee]:
        """Direct members, agents and groups (`group:NAME`), sorted."""
        ...
