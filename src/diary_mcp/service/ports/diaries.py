"""Diaries and the roles on them, as rows."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from diary_mcp.domain.diaries import DiaryName, DiaryShare, DiarySummary, GivenRole, HeldDiary
from diary_mcp.domain.fields import AgentName, DiaryId, Grantee
from diary_mcp.service.ports.entries import Readership
from diary_mcp.service.ports.shares import SharePosition


class DiaryReader(Protocol):
    """Diaries as the rows open them; whether a role holds is the permission backend's to say."""

    async def find(self, reader: Readership, name: DiaryName) -> HeldDiary | None:
        """The diary, with the reader's highest role; `None` where it has none."""
        ...

    async def list_readable(self, reader: Readership, *, counted: bool) -> Sequence[DiarySummary]:
        """Those that the reader has a role on, by name, its own first; `main` is always there.

        Unless they are `counted`, which reads every entry, they have no entries.
        """
        ...

    async def list_received(
        self, reader: Readership, since: datetime | None, limit: int
    ) -> list[DiaryShare]:
        """For each diary of others the reader's highest role, given after `since`.

        The latest given first.
        """
        ...

    async def list_shares(
        self,
        owner: AgentName,
        diary_id: DiaryId | None,
        after: SharePosition | None,
        limit: int,
    ) -> list[DiaryShare]:
        """Active roles on the owner's diaries, oldest first; on one where it is named."""
        ...


class DiaryWriter(Protocol):
    """Changes of diaries, inside a unit of work."""

    async def hold(self, reader: Readership, name: DiaryName) -> HeldDiary | None:
        """As `find`, and neither the diary nor the role goes before the unit of work ends."""
        ...

    async def insert(self, name: DiaryName) -> DiaryId | None:
        """Adds a diary with `generation` 1; `None` where there is one of this name."""
        ...

    async def raise_generation(self, diary_id: DiaryId) -> int | None:
        """Locks the diary for this unit of work and counts one more permission change.

        Returns:
            The new generation, or `None` where there is no such diary (any more).
        """
        ...

    async def rename(self, diary_id: DiaryId, name: str) -> None:
        """Raises: ConflictError: the owner has one of this name."""
        ...

    async def transfer(self, diary_id: DiaryId, owner: AgentName) -> None:
        """Raises: ConflictError: the new owner has one of this name."""
        ...

    async def remove(self, diary_id: DiaryId) -> None:
        """Removes the diary and the roles on it; leaves a tombstone of its id.

        Raises:
            ConflictError: entries are in it.
        """
        ...

    async def put_role(
        self,
        diary: HeldDiary,
        grantee: Grantee,
        role: GivenRole,
        expires_at: datetime | None,
        note: str | None,
    ) -> DiaryShare:
        """Gives the role, in the place of the one that the grantee has."""
        ...

    async def remove_role(self, diary_id: DiaryId, grantee: Grantee) -> bool:
        """Takes an active role away; `False` where there is none."""
        ...

    async def count_groups(self, diary_id: DiaryId) -> int: ...
