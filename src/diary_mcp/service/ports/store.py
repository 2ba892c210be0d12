"""The store: what can be read on one connection, and the unit of work."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from diary_mcp.service.ports.agents import AgentDirectory, RemovalWriter
from diary_mcp.service.ports.archive import ArchiveReader, ArchiveWriter
from diary_mcp.service.ports.audit import AuditReader
from diary_mcp.service.ports.chain import ChainReader, ChainWriter
from diary_mcp.service.ports.diaries import DiaryReader, DiaryWriter
from diary_mcp.service.ports.entries import (
    EntryReader,
    EntryWriter,
    HistoryReader,
    RequestLog,
    SuggestionReader,
)
from diary_mcp.service.ports.outline import OutlineReader
from diary_mcp.service.ports.reflection import ReflectionReader
from diary_mcp.service.ports.search import SearchReader, SimilarReader
from diary_mcp.service.ports.shares import ShareReader, ShareWriter
from diary_mcp.service.ports.workflows import WorkflowQueue


class Reading(Protocol):
    """What can be read, on one connection."""

    @property
    def entries(self) -> EntryReader: ...
    @property
    def shares(self) -> ShareReader: ...
    @property
    def diaries(self) -> DiaryReader: ...
    @property
    def agents(self) -> AgentDirectory: ...
    @property
    def archive(self) -> ArchiveReader: ...
    @property
    def audit(self) -> AuditReader: ...
    @property
    def reflection(self) -> ReflectionReader: ...
    @property
    def history(self) -> HistoryReader: ...
    @property
    def suggestions(self) -> SuggestionReader: ...
    @property
    def search(self) -> SearchReader: ...
    @property
    def outlines(self) -> OutlineReader: ...
    @property
    def similar(self) -> SimilarReader: ...
    @property
    def chain(self) -> ChainReader: ...


class UnitOfWork(Protocol):
    """One PostgreSQL transaction on one connection: all of it commits, or nothing does."""

    @property
    def entries(self) -> EntryReader: ...
    @property
    def entry_changes(self) -> EntryWriter: ...
    @property
    def shares(self) -> ShareWriter: ...
    @property
    def diaries(self) -> DiaryWriter: ...
    @property
    def agents(self) -> AgentDirectory: ...
    @property
    def removals(self) -> RemovalWriter: ...
    @property
    def requests(self) -> RequestLog: ...
    @property
    def workflows(self) -> WorkflowQueue: ...
    @property
    def archive(self) -> ArchiveWriter: ...
    @property
    def chain(self) -> ChainWriter: ...

    def read_behind(self, read: Callable[[Reading], Awaitable[None]]) -> None:
        """Reads what the commit has left, in the same round trip.

        Where that fails, or takes longer than a second, what was committed stays so, and nobody
        is told.
        """
        ...


class Store(Protocol):
    """Raises (every method): DatabaseUnavailableError: PostgreSQL gives no answer in time."""

    def reading(self) -> AbstractAsyncContextManager[Reading]: ...

    def snapshot(self) -> AbstractAsyncContextManager[Reading]:
        """Reads everything as it was at one moment."""
        ...

    def unit_of_work(self) -> AbstractAsyncContextManager[UnitOfWork]:
        """Commits when the block ends, rolls back when it raises; shielded from cancellation."""
        ...
