"""One page of one search, as it is asked for."""

from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b

from diary_mcp.domain.entry import EntryFilters, SearchMode
from diary_mcp.domain.fields import AgentName, EntryId
from diary_mcp.service.ports.search import SearchPosition


@dataclass(frozen=True)
class SearchRequest:
    """One page of one search. `seen` are those that the pages before showed."""

    caller: AgentName
    query: str
    filters: EntryFilters
    mode: SearchMode
    limit: int
    position: SearchPosition | None

    @property
    def created_by(self) -> datetime | None:
        return None if self.position is None else self.position.created_by


def mark(entry_id: EntryId) -> bytes:
    """What a cursor remembers of an entry: short, and different enough within one search."""
    return blake2b(entry_id.bytes, digest_size=5).digest()
