"""Writing an entry, and looking beside it for earlier ones that say nearly the same.

The look takes about as long as the write. So that a caller need not wait for both, one after the
other, it begins with the write, and sees what was committed by then.
"""

import asyncio
from dataclasses import dataclass

from uuid_utils.compat import uuid7

from diary_mcp.domain.entry import Entry, EntryDraft, SimilarEntry
from diary_mcp.domain.fields import AgentName, EntryId
from diary_mcp.service.entries import EntryService
from diary_mcp.service.index.ports import SearchText
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
        entry_id = EntryId(uuid7())
        looking = asyncio.create_task(
            self._similarity.find_similar(_text_of_draft(entry_id, caller, draft))
        )
        try:
            entry = await self._entries.create(
                caller, draft, entry_id=entry_id, idempotency_key=idempotency_key
            )
        finally:
            similar = await looking
        if entry.id != entry_id or entry.supersedes is not None:
            # It was written by an earlier call, or has made one of them outdated.
            similar = await self._similarity.find_similar(text_of(entry))
        return Written(entry, similar)


def _text_of_draft(entry_id: EntryId, caller: AgentName, draft: EntryDraft) -> SearchText:
    return SearchText(
        id=entry_id,
        owner=caller,
        author=draft.author or caller,
        title=draft.title,
        content=draft.content,
        tags=draft.tags,
        version=1,
    )
