"""What the search tests stand on: a diary of one's own, asked and indexed by hand."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from uuid import UUID

import numpy as np

from diary_mcp.app import Foundation
from diary_mcp.domain.entry import Entry, EntryDraft, EntryFilters, SearchHit, SearchMode
from diary_mcp.domain.errors import EmbeddingUnavailableError, PermissionBackendUnavailableError
from diary_mcp.domain.fields import AgentName, DiaryId, EntryId, Grantee, GroupName
from diary_mcp.domain.relations import group_of
from diary_mcp.service.entries.access import Access
from diary_mcp.service.entries.listing import Page
from diary_mcp.service.index.indexer import EntryIndexer
from diary_mcp.service.ports.index import Embedder
from diary_mcp.service.search.search import SearchService
from diary_mcp.service.sharing.settlement import settle
from diary_mcp.store.search_index import PostgresSearchIndex

ALICE = AgentName("alice")
BOB = AgentName("bob")


class WordEmbedder:
    """A model without meaning: texts are alike as far as they share words. Quick and exact."""

    def __init__(self, name: str = "words") -> None:
        self.name = name
        self.is_broken = False
        self.is_warm = True

    def warm_up(self) -> None:
        self.is_warm = True

    def embed(self, texts: Sequence[str]) -> list[bytes]:
        if self.is_broken:
            raise EmbeddingUnavailableError("The model is broken.")
        return [_vector(text) for text in texts]


class SilentPermissions:
    """A permission backend that does not answer."""

    async def check_view(self, agent: AgentName, entry_ids: Collection[EntryId]) -> set[EntryId]:
        raise PermissionBackendUnavailableError(f"No answer about {agent} and {len(entry_ids)}.")

    async def check_diaries(
        self, agent: AgentName, diary_ids: Collection[DiaryId], *, to_write: bool = False
    ) -> set[DiaryId]:
        raise PermissionBackendUnavailableError(
            f"No answer about {agent}, {len(diary_ids)} and {to_write}."
        )

    async def list_groups(self, agent: AgentName) -> set[GroupName]:
        raise PermissionBackendUnavailableError(f"No answer about {agent}.")


@dataclass(frozen=True)
class Searching:
    """A diary with an embedder of the test's choice."""

    foundation: Foundation
    embedder: Embedder | None
    large_from: int | None = None
    """From how many entries on a diary is large; `None` is what the product does."""

    @cached_property
    def service(self) -> SearchService:
        """One for all searches: what it keeps of one must be right for the next."""
        return self.with_permissions()

    def with_permissions(self, permissions: SilentPermissions | None = None) -> SearchService:
        reader = permissions or self.foundation.permissions
        access = Access(self.foundation.store, reader)
        return SearchService(
            self.foundation.store, reader, access, self.embedder, large_from=self.large_from
        )

    async def index(self) -> int:
        store = PostgresSearchIndex(self.foundation.settling_database)
        return await EntryIndexer(store, self.embedder).index_waiting()

    async def write(self, *drafts: EntryDraft | str, owner: AgentName = ALICE) -> list[Entry]:
        return [
            await self.foundation.diary.entries.create(
                owner, EntryDraft(content=draft) if isinstance(draft, str) else draft
            )
            for draft in drafts
        ]

    async def share(self, entry: Entry, reader: AgentName | Grantee) -> None:
        """Shares, and settles it."""
        if group_of(Grantee(reader)) is None:
            await self.foundation.diary.agents.register(AgentName(reader))
        await self.foundation.diary.sharing.share(
            entry.owner, str(entry.id), Grantee(reader), expires_at=None, note=None
        )
        await settle([entry.id], self.foundation.settlements, self.foundation.permissions)

    async def open_team(self, *writers: AgentName) -> str:
        """Makes Alice's diary `team`, in which these may write too; how these name it."""
        diaries = self.foundation.diary.diaries
        await diaries.open(ALICE, "team")
        for writer in writers:
            await self.foundation.diary.agents.register(writer)
            await diaries.share(ALICE, "team", Grantee(writer), role="writer")
        await self.settle_diaries()
        return f"{ALICE}/team"

    async def settle_diaries(self) -> None:
        """Lets every role on a diary hold that was given, and none that was taken back."""
        ids = [
            DiaryId(UUID(str(each))) for (each,) in await self.query("select id from diary.diary")
        ]
        await settle(ids, self.foundation.settlements, self.foundation.permissions)

    async def find(
        self,
        query: str,
        *,
        reader: AgentName = ALICE,
        mode: SearchMode = "hybrid",
        filters: EntryFilters | None = None,
        cursor: str | None = None,
        limit: int = 10,
    ) -> Page[SearchHit]:
        return await self.service.search(
            reader,
            query,
            filters or EntryFilters(scope="all"),
            mode=mode,
            cursor=cursor,
            limit=limit,
        )

    async def query(self, statement: str, *parameters: object) -> list[tuple[object, ...]]:
        """Rows of a statement of the test's own."""
        async with self.foundation.database.connection() as connection:
            cursor = await connection.execute(statement.encode(), parameters or None)
            return await cursor.fetchall() if cursor.description else []


def _vector(text: str) -> bytes:
    vector = np.full(64, 0.01, dtype="<f4")
    for word in text.lower().split():
        vector[blake2b(word.strip(".,?!").encode(), digest_size=1).digest()[0] % 64] += 1
    return vector.tobytes()
