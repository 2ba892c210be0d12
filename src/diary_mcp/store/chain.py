"""Chains of signed links in PostgreSQL."""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from uuid import UUID

from psycopg.rows import args_row, class_row
from psycopg.types.json import Json

from diary_mcp.domain.chain import SupersededEntry
from diary_mcp.domain.fields import AgentName, EntryId
from diary_mcp.domain.version import Version
from diary_mcp.service.ports.chain import (
    Head,
    KeptLink,
    LastLink,
    NewLink,
    RequestedSignature,
    SignedLink,
    VersionToSign,
)
from diary_mcp.store.database import Connection
from diary_mcp.store.sql import load_queries

_SQL = load_queries("chain")
_dump = partial(json.dumps, default=str)
"""Ids are text, too."""


class PostgresChain:
    """`ChainReader` and `ChainWriter` on one connection."""

    def __init__(
        self, connection: Connection, committed: list[Callable[[], None]] | None = None
    ) -> None:
        """`committed` is for what is to be called after the commit."""
        self._connection = connection
        self._committed = [] if committed is None else committed

    async def find_head(self, owner: AgentName) -> Head | None:
        cursor = self._connection.cursor(row_factory=class_row(Head))
        await cursor.execute(_SQL["find_head"], {"owner": owner})
        return await cursor.fetchone()

    async def lock_head(self, owner: AgentName) -> Head:
        cursor = self._connection.cursor(row_factory=class_row(Head))
        await cursor.execute(_SQL["lock_head"], {"owner": owner})
        (head,) = await cursor.fetchall()
        return head

    async def hold_entry(self, entry_id: EntryId) -> None:
        await self._connection.execute(_SQL["hold_entry"], {"id": entry_id})

    async def append(
        self, owner: AgentName, links: Sequence[NewLink], head: Head, expected: Head
    ) -> None:
        await self._connection.execute(
            _SQL["append_links"],
            {
                **vars(head),
                "owner": owner,
                "expected_sequence": expected.sequence,
                "expected_hash": expected.hash,
                "valid_keys": list(head.valid_keys),
                "known_keys": list(head.known_keys),
                "links": Json([link._asdict() for link in links], dumps=_dump),
            },
        )

    async def find_last_links(
        self, owner: AgentName, entry_ids: Collection[EntryId]
    ) -> list[LastLink]:
        cursor = self._connection.cursor(row_factory=class_row(LastLink))
        await cursor.execute(_SQL["find_last_links"], {"owner": owner, "ids": list(entry_ids)})
        return await cursor.fetchall()

    async def find_superseded(self, entry_ids: Collection[EntryId]) -> list[SupersededEntry]:
        cursor = self._connection.cursor(row_factory=class_row(SupersededEntry))
        await cursor.execute(_SQL["find_superseded"], {"ids": list(entry_ids)})
        return await cursor.fetchall()

    async def find_to_sign(
        self, owner: AgentName, entry_ids: Collection[EntryId]
    ) -> list[VersionToSign]:
        cursor = self._connection.cursor(row_factory=class_row(VersionToSign))
        await cursor.execute(_SQL["find_to_sign"], {"owner": owner, "ids": list(entry_ids)})
        return await cursor.fetchall()

    async def list_pending(self, owner: AgentName) -> list[EntryId]:
        cursor = self._connection.cursor(row_factory=args_row(EntryId))
        await cursor.execute(_SQL["list_pending"], {"owner": owner})
        return await cursor.fetchall()

    async def list_dropped(self, owner: AgentName) -> list[EntryId]:
        cursor = self._connection.cursor(row_factory=args_row(EntryId))
        await cursor.execute(_SQL["list_dropped"], {"owner": owner})
        return await cursor.fetchall()

    async def list_links(self, owner: AgentName, after: int, limit: int) -> list[KeptLink]:
        cursor = self._connection.cursor(row_factory=class_row(KeptLink))
        await cursor.execute(_SQL["list_links"], {"owner": owner, "after": after, "limit": limit})
        return await cursor.fetchall()

    async def list_key_links(self, owner: AgentName) -> dict[int, SignedLink]:
        cursor = self._connection.cursor(row_factory=class_row(KeptLink))
        await cursor.execute(_SQL["list_key_links"], {"owner": owner})
        return {row.sequence: row.link for row in await cursor.fetchall()}

    async def list_salts(
        self, owner: AgentName, entry_ids: Collection[EntryId]
    ) -> Mapping[EntryId, Mapping[int, str]]:
        cursor = self._connection.cursor(row_factory=args_row(_salts))
        await cursor.execute(_SQL["list_salts"], {"owner": owner, "ids": list(entry_ids)})
        return dict(await cursor.fetchall())

    async def list_whole_versions(
        self, owner: AgentName, entry_ids: Collection[EntryId]
    ) -> Mapping[EntryId, list[Version]]:
        cursor = self._connection.cursor(row_factory=class_row(Version))
        await cursor.execute(_SQL["list_whole_versions"], {"owner": owner, "ids": list(entry_ids)})
        versions: dict[EntryId, list[Version]] = {}
        for version in await cursor.fetchall():
            versions.setdefault(version.id, []).append(version)
        return versions

    async def list_origins(
        self, owner: AgentName, entry_ids: Collection[EntryId]
    ) -> Mapping[EntryId, str]:
        cursor = self._connection.cursor(row_factory=args_row(_origin))
        await cursor.execute(_SQL["list_origins"], {"owner": owner, "ids": list(entry_ids)})
        return dict(await cursor.fetchall())

    def after_commit(self, tell: Callable[[], None]) -> None:
        self._committed.append(tell)

    async def put_origins(self, origins: Sequence[tuple[EntryId, int, str]]) -> None:
        await self._connection.execute(
            _SQL["put_origins"],
            {
                "ids": [entry_id for entry_id, _, _ in origins],
                "versions": [version for _, version, _ in origins],
                "proofs": [proof for _, _, proof in origins],
            },
        )

    async def put_request(self, owner: AgentName, request: RequestedSignature) -> None:
        await self._connection.execute(_SQL["put_request"], {**request._asdict(), "owner": owner})

    async def expire_request(self, request_id: UUID) -> None:
        await self._connection.execute(_SQL["expire_request"], {"id": request_id})

    async def take_request(
        self, owner: AgentName, request_id: UUID
    ) -> tuple[str, str | None] | None:
        cursor = self._connection.cursor(row_factory=args_row(_request))
        await cursor.execute(_SQL["take_request"], {"owner": owner, "id": request_id})
        return await cursor.fetchone()


def _salts(
    entry_id: EntryId, versions: Sequence[int], salts: Sequence[str]
) -> tuple[EntryId, Mapping[int, str]]:
    return entry_id, dict(zip(versions, salts, strict=True))


def _origin(entry_id: EntryId, proof: str) -> tuple[EntryId, str]:
    return entry_id, proof


def _request(statement: str, salt: str | None) -> tuple[str, str | None]:
    return statement, salt
