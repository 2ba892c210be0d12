"""Announcements of changed entries."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from diary_mcp.domain.fields import EntryId, Grantee


@dataclass(frozen=True)
class Announcement:
    """An entry changed. Where `reader` is named, that agent or group could read it until now."""

    entry_id: EntryId
    reader: Grantee | None = None


class Announcer(Protocol):
    """Tells of every change that any process commits."""

    def listen(self) -> AbstractAsyncContextManager[AsyncIterator[Announcement]]:
        """What is committed from the beginning of the block on.

        Raises:
            DatabaseUnavailableError: the connection failed; what was announced meanwhile is lost.
        """
        ...
