"""What is asked for."""

from dataclasses import dataclass
from datetime import datetime

from diary_mcp.domain.entry import EntryFilters, SearchMode
from diary_mcp.domain.fields import AgentName
from diary_mcp.service.ports.search import SearchPosition


@dataclass(frozen=True)
class SearchRequest:
    """One page of one search, as it is asked for."""

    caller: AgentName
    query: str
    filters: EntryFilters
    mode: SearchMode
    limit: int
    position: SearchPosition | None

    @property
    def created_by(self) -> datetime | None:
        return None if self.position is None else self.position.created_by

    @property
    def seen(self) -> frozenset[bytes]:
        """Marks of those that the pages before showed."""
        return frozenset() if self.position is None else self.position.seen
