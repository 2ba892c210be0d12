"""Agents' tokens in PostgreSQL, by their SHA-256."""

from collections.abc import Collection
from datetime import datetime

from psycopg.rows import class_row

from diary_mcp.domain.fields import AgentName, DiaryId
from diary_mcp.domain.scopes import TOKEN_SCOPES, TokenScope
from diary_mcp.domain.tokens import AgentToken, TokenId
from diary_mcp.store.agents import PostgresAgents
from diary_mcp.store.database import Database
from diary_mcp.store.sql import load_queries

_SQL = load_queries("token")
_MAX_TOKEN_IDS = 2**63


class PostgresTokens:
    """`TokenStore`; triggers on the table write the audit trail in the same transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def insert(
        self,
        agent: AgentName,
        sha256: bytes,
        scopes: Collection[TokenScope],
        expires_at: datetime | None,
        diary_id: DiaryId | None = None,
    ) -> AgentToken:
        async with self._database.transaction() as connection:
            await PostgresAgents(connection).register(agent)
            cursor = connection.cursor(row_factory=class_row(AgentToken))
            await cursor.execute(
                _SQL["insert_token"],
                {
                    "agent": agent,
                    "sha256": sha256,
                    "scopes": [scope for scope in TOKEN_SCOPES if scope in scopes],
                    "expires_at": expires_at,
                    "diary_id": diary_id,
                },
            )
            token = await cursor.fetchone()
        assert token is not None, "an insert returns its row"  # noqa: S101  # an invariant
        return token

    async def find(self, sha256: bytes) -> AgentToken | None:
        async with self._database.connection() as connection:
            cursor = connection.cursor(row_factory=class_row(AgentToken))
            await cursor.execute(_SQL["find_token"], {"sha256": sha256})
            return await cursor.fetchone()

    async def list_active(self, agent: AgentName | None) -> list[AgentToken]:
        async with self._database.connection() as connection:
            cursor = connection.cursor(row_factory=class_row(AgentToken))
            await cursor.execute(_SQL["list_tokens"], {"agent": agent})
            return await cursor.fetchall()

    async def revoke(self, token_id: TokenId) -> bool:
        if not 0 < token_id < _MAX_TOKEN_IDS:
            return False
        async with self._database.transaction() as connection:
            cursor = await connection.execute(_SQL["revoke_token"], {"token_id": token_id})
            return cursor.rowcount == 1

    async def revoke_all(self, agent: AgentName) -> int:
        async with self._database.transaction() as connection:
            cursor = await connection.execute(_SQL["revoke_tokens"], {"agent": agent})
            return cursor.rowcount
