"""Everybody in this process who watches entries, and the one connection that tells of changes."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio
import structlog

from diary_mcp.domain.errors import UnavailableError
from diary_mcp.domain.fields import AgentName, EntryId
from diary_mcp.server.dispatch import REQUEST_TIMEOUT_S, DiaryProvider

if TYPE_CHECKING:
    from diary_mcp.service.diary import Diary
    from diary_mcp.service.ports.entries import Announcement

_log = structlog.get_logger()

_RETRY_S = 1.0
_MAX_WATCHERS = 1_000
_MAX_WATCHERS_OF_ONE_AGENT = 200

Tell = Callable[[str], Awaitable[None]]
"""Told the address of a resource that changed."""

Addresses = Mapping[EntryId | None, frozenset[str]]
"""The addresses of what is watched, by entry; by `None` those of lists of what one may read."""


@dataclass(frozen=True, eq=False)
class _Watcher:
    agent: AgentName
    addresses: Addresses
    tell: Tell


class Watchers:
    """Hands every announcement to those who may hear it.

    PostgreSQL is listened to from the first watcher on. After a connection was lost, every watcher
    is told of all that it watches: what was announced meanwhile is unknown.
    """

    def __init__(self, provide: DiaryProvider) -> None:
        self._provide = provide
        self._watchers: set[_Watcher] = set()
        self._is_wanted = anyio.Event()
        self._is_listening = anyio.Event()

    @asynccontextmanager
    async def watching(
        self, agent: AgentName, addresses: Addresses, tell: Tell
    ) -> AsyncGenerator[None]:
        """Tells the addresses of what changes while the block runs.

        Raises:
            UnavailableError: PostgreSQL cannot be listened to, or too many watch already.
        """
        if len(self._watchers) >= _MAX_WATCHERS:
            raise UnavailableError(f"{_MAX_WATCHERS} subscriptions are open; try again later.")
        if sum(each.agent == agent for each in self._watchers) >= _MAX_WATCHERS_OF_ONE_AGENT:
            raise UnavailableError(
                f"{_MAX_WATCHERS_OF_ONE_AGENT} subscriptions of yours are open; end some."
            )
        watcher = _Watcher(agent, addresses, tell)
        self._watchers.add(watcher)
        try:
            self._is_wanted.set()
            await self._wait_until_listening()
            yield
        finally:
            self._watchers.discard(watcher)

    async def run(self) -> None:
        """Listens until it is cancelled; begins when somebody wants to hear."""
        await self._is_wanted.wait()
        is_lost = False
        while True:
            try:
                diary = await self._provide()
                async with diary.watching.announcer.listen() as announcements:
                    self._is_listening.set()
                    if is_lost:
                        await self._tell_of_everything()
                    async for announcement in announcements:
                        await self._tell_of(diary, announcement)
            except UnavailableError as error:
                _log.warning("announcements.lost", reason=str(error))
            if self._is_listening.is_set():
                is_lost, self._is_listening = True, anyio.Event()
            await anyio.sleep(_RETRY_S)

    async def _wait_until_listening(self) -> None:
        try:
            with anyio.fail_after(REQUEST_TIMEOUT_S):
                await self._is_listening.wait()
        except TimeoutError as error:
            raise UnavailableError(
                "Changes cannot be followed at the moment: PostgreSQL does not answer. "
                "Try again soon."
            ) from error

    async def _tell_of_everything(self) -> None:
        for watcher in tuple(self._watchers):
            for addresses in watcher.addresses.values():
                await _tell(watcher, addresses)

    async def _tell_of(self, diary: "Diary", announcement: "Announcement") -> None:
        for watcher in tuple(self._watchers):
            addresses = watcher.addresses.get(announcement.entry_id)
            if addresses and await diary.watching.may_hear(watcher.agent, announcement):
                await _tell(watcher, addresses)


async def _tell(watcher: _Watcher, addresses: frozenset[str]) -> None:
    for address in sorted(addresses):
        await watcher.tell(address)
