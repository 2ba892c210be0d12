"""Shares as rows."""

from datetime import datetime
from typing import NamedTuple, Protocol
from uuid import UUID

from diary_mcp.domain.entry import Share
from diary_mcp.domain.fields import AgentName, EntryId, Grantee
from diary_mcp.service.ports.entries import Readership


class SharePosition(NamedTuple):
    """Where a list of shares goes on: after this one, of an entry or a diary."""

    created_at: datetime
    shared_id: UUID
    grantee: Grantee


class ShareReader(Protocol):
    async def may_reach(self, agent: AgentName) -> bool:
        """Whether any active share names the agent or any group at all."""
        ...

    async def find_received(self, entry_id: EntryId, reader: Readership) -> Share | None:
        """The active share that lets the reader read the entry: its own before a group's."""
        ...

    async def list_received(
        self, reader: Readership, since: datetime | None, limit: int
    ) -> list[Share]:
        """For each entry of others the active share that opens it, given after `since`.

        The latest given first.
        """
        ...

    async def list_received_ids(self, reader: Readership) -> list[EntryId]:
        """Entries of others that an active share of their own opens."""
        ...

    async def list_page(
        self,
        owner: AgentName,
        entry_id: EntryId | None,
        after: SharePosition | None,
        limit: int,
    ) -> list[Share]:
        """Active shares that `owner` gave, oldest first; of one entry where it is named."""
        ...


class Given(NamedTuple):
    """What became of an entry by a share of it."""

    is_known: bool
    """Whether there is an agent, or a group, of the name; a transaction keeps it there."""

    generation: int | None
    share: Share | None
    """Both `None` where the owner's entry was deleted a moment ago."""

    groups: int
    """How many the entry is shared with."""


class ShareWriter(Protocol):
    async def give(
        self,
        entry_id: EntryId,
        owner: AgentName,
        grantee: Grantee,
        expires_at: datetime | None,
        note: str | None,
    ) -> Given:
        """Raises the entry's generation, and adds the share, in one round trip.

        It replaces `expires_at` and `note` of one that is there. What must not be, the caller
        finds in what is given, and does not commit.
        """
        ...

    async def remove(self, entry_id: EntryId, grantee: Grantee) -> bool:
        """Removes an active share; `False` where there is none."""
        ...
