"""Hearing of changed entries: who may hear of which.

An agent hears of an entry that it can read, and of the end of that, once; a deleted entry and one
that is not shared any more look the same to it.
"""

from diary_mcp.domain.errors import NotFoundError, PermissionBackendUnavailableError
from diary_mcp.domain.fields import AgentName, EntryId
from diary_mcp.domain.relations import group_of
from diary_mcp.service.entries.access import Access
from diary_mcp.service.ports.entries import Announcement, Announcer
from diary_mcp.service.ports.permissions import PermissionReader


class WatchService:
    """Which agent hears of what."""

    def __init__(self, announcer: Announcer, access: Access, permissions: PermissionReader) -> None:
        self.announcer = announcer
        self._access = access
        self._permissions = permissions

    async def find(self, agent: AgentName, reference: str) -> EntryId:
        """The entry that `agent` may watch.

        Raises:
            NotFoundError: there is none that it may read.
        """
        return (await self._access.get(agent, reference)).id

    async def may_hear(self, agent: AgentName, announcement: Announcement) -> bool:
        """Whether `agent` may know of the change; not while nobody can say."""
        try:
            if announcement.reader is None:
                await self._access.get(agent, str(announcement.entry_id))
                return True
            group = group_of(announcement.reader)
            if group is None:
                return announcement.reader == agent
            return group in await self._permissions.list_groups(agent)
        except (NotFoundError, PermissionBackendUnavailableError):
            return False
