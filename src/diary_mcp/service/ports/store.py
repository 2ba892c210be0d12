"""The store: what can be read on one connection, and the unit of work."""

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from diary_mcp.service.ports.agents import AgentDirectory
from diary_mcp.service.ports.archive import ArchiveReader, ArchiveWriter
from diary_mcp.service.ports.chain import ChainReader, ChainWriter
from diary_mcp.service.ports.entries import (
    EntryReader,
    EntryWriter,
    HistoryReader,
    RequestLog,
    SuggestionReader,
)
from diary_mcp.service.ports.reflection import ReflectionReader
from diary_mcp.service.ports.search import SearchReader, SimilarReader
from diary_mcp.service.ports.shares import ShareReader, ShareWriter
from diary_mcp.service.ports.workflows import WorkflowQueue


@dataclass(frozen=True)
class Reading:
    """Everything that can be read, on one connection."""

    entries: EntryReader
    shares: ShareReader
    agents: AgentDirectory
    archive: ArchiveReader
    reflection: ReflectionReader
    history: HistoryReader
    suggestions: SuggestionReader
    search: SearchReader
    similar: SimilarReader
    chain: ChainReader


@dataclass(frozen=True)
class UnitOfWork:
    """One PostgreSQL transaction on one connection: all of it commits, or nothing does."""

    entries: EntryReader
    entry_changes: EntryWriter
    shares: ShareWriter
    agents: AgentDirectory
    requests: RequestLog
    workflows: WorkflowQueue
    archive: ArchiveWriter
    chain: ChainWriter


class Store(Protocol):
    """Raises (every method): DatabaseUnavailableError: PostgreSQL gives no answer in time."""

    def reading(self) -> AbstractAsyncContextManager[Reading]: ...

    def snapshot(self) -> AbstractAsyncContextManager[Reading]:
        """Reads everything as it was at one moment."""
        ...

    def unit_of_work(self) -> AbstractAsyncContextManager[UnitOfWork]:
        """Commits when the block ends, rolls back when it raises; shielded from cancellation."""
        ...
