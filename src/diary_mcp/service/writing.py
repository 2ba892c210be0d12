"""Writing an entry, and looking beside it for earlier ones that say nearly the same.

The look takes about as long as the write. So that a caller need not wait for both, one after the
other, it begins with the write, and sees what was committed by then. Only a correction is waited
for.
"""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime

from uuid_utils.compat import uuid7

from diary_mcp.domain.entry import Entry, EntryDraft, SimilarEntry
from diary_mcp.domain.fields import AgentName, EntryId
from diary_mcp.domain.hashing import fill_in
from diary_mcp.service.entries.entries import EntryService
from diary_mcp.service.search.similarity import SimilarityService, text_of


@dataclass(frozen=True)
class Written:
    """An entry, and at most three earlier ones that say nearly the same, the most similar first."""

    entry: Entry
    similar: list[SimilarEntry]


class WritingService:
    """Writes the entries of one diary."""

    def __init__(self, entries: EntryService, similarity: SimilarityService) -> None:
        self._entries = entries
        self._similarity = similarity

    async def write(
        self, caller: AgentName, draft: EntryDraft, *, idempotency_key: str | None = None
    ) -> Written:
        """Adds an entry, as `EntryService.create` does; raises what that raises."""
        if draft.supersedes is not None:
            # What it makes outdated must be known.
            entry = await self._entries.create(caller, draft, idempotency_key=idempotency_key)
            return Written(entry, await self._look(entry))
        entry_id = EntryId(uuid7())
        written = fill_in(draft, caller, datetime.now(UTC), 1)
        looking = asyncio.create_task(
            self._similarity.find_similar(text_of(entry_id, caller, written))
        )
        try:
            entry = await self._entries.create(
                caller, draft, entry_id=entry_id, idempotency_key=idempotency_key
            )
        finally:
            similar = await looking
        # An earlier call may have written it.
        return Written(entry, similar if entry.id == entry_id else await self._look(entry))

    async def _look(self, entry: Entry) -> list[SimilarEntry]:
        return await self._similarity.find_similar(text_of(entry.id, entry.owner, entry))
