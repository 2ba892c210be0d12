"""Diaries and the roles on them in PostgreSQL."""

from collections.abc import Sequence
from datetime import datetime
from typing import LiteralString

from psycopg import errors
from psycopg.rows import args_row, class_row

from diary_mcp.domain.diaries import DiaryName, DiaryShare, DiarySummary, GivenRole, HeldDiary
from diary_mcp.domain.errors import ConflictError
from diary_mcp.domain.fields import AgentName, DiaryId, Grantee
from diary_mcp.service.ports.entries import Readership
from diary_mcp.service.ports.shares import SharePosition
from diary_mcp.store.database import Connection, fetch_count, fetch_flag
from diary_mcp.store.entries import reader_parameters
from diary_mcp.store.sql import load_queries

_SQL = load_queries("diary")


class PostgresDiaries:
    """`DiaryReader` and `DiaryWriter` on one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def find(self, reader: Readership, name: DiaryName) -> HeldDiary | None:
        cursor = self._connection.cursor(row_factory=class_row(HeldDiary))
        await cursor.execute(_SQL["find_diary"], {**reader_parameters(reader), **name._asdict()})
        return await cursor.fetchone()

    async def hold(self, reader: Readership, name: DiaryName) -> HeldDiary | None:
        asked = {**reader_parameters(reader), **name._asdict()}
        await self._connection.execute(_SQL["hold_diary"], asked)
        await self._connection.execute(_SQL["hold_roles"], asked)
        # By a statement of its own: what was waited for may have gone.
        return await self.find(reader, name)

    async def list_readable(self, reader: Readership, *, counted: bool) -> Sequence[DiarySummary]:
        cursor = self._connection.cursor(row_factory=class_row(DiarySummary))
        asked = {**reader_parameters(reader), "counted": counted}
        await cursor.execute(_SQL["list_readable"], asked)
        return await cursor.fetchall()

    async def list_received(
        self, reader: Readership, since: datetime | None, limit: int
    ) -> list[DiaryShare]:
        cursor = self._connection.cursor(row_factory=class_row(DiaryShare))
        asked = {**reader_parameters(reader), "since": since, "limit": limit}
        await cursor.execute(_SQL["list_received_roles"], asked)
        return await cursor.fetchall()

    async def list_shares(
        self,
        owner: AgentName,
        diary_id: DiaryId | None,
        after: SharePosition | None,
        limit: int,
    ) -> list[DiaryShare]:
        cursor = self._connection.cursor(row_factory=class_row(DiaryShare))
        await cursor.execute(
            _SQL["list_shares"],
            {
                "owner": owner,
                "diary_id": diary_id,
                "after_created_at": after and after.created_at,
                "after_diary_id": after and after.shared_id,
                "after_grantee": after and after.grantee,
                "limit": limit,
            },
        )
        return await cursor.fetchall()

    async def insert(self, name: DiaryName) -> DiaryId | None:
        cursor = self._connection.cursor(row_factory=args_row(DiaryId))
        await cursor.execute(_SQL["insert_diary"], name._asdict())
        return await cursor.fetchone()

    async def raise_generation(self, diary_id: DiaryId) -> int | None:
        return await fetch_count(self._connection, _SQL["raise_generation"], {"id": diary_id})

    async def rename(self, diary_id: DiaryId, name: str) -> None:
        await self._name(_SQL["rename_diary"], {"id": diary_id, "name": name})

    async def transfer(self, diary_id: DiaryId, owner: AgentName) -> None:
        parameters: dict[str, object] = {"id": diary_id, "owner": owner}
        await self._name(_SQL["transfer_diary"], parameters)
        await self._connection.execute(_SQL["pass_roles_on"], parameters)

    async def _name(self, statement: LiteralString, parameters: dict[str, object]) -> None:
        try:
            await fetch_flag(self._connection, statement, parameters)
        except errors.UniqueViolation as error:
            raise ConflictError(
                "There is a diary of this name already; rename one of the two."
            ) from error

    async def remove(self, diary_id: DiaryId) -> None:
        try:
            await fetch_flag(self._connection, _SQL["delete_diary"], {"id": diary_id})
        except errors.ForeignKeyViolation as error:
            raise ConflictError(
                "The diary holds entries: move them with diary_update, or delete them, and try "
                "again."
            ) from error
        await self._connection.execute(_SQL["bury_diary"], {"id": diary_id})

    async def put_role(
        self,
        diary: HeldDiary,
        grantee: Grantee,
        role: GivenRole,
        expires_at: datetime | None,
        note: str | None,
    ) -> DiaryShare:
        wanted = {
            "diary_id": diary.id,
            "grantee": grantee,
            "role": role,
            "granted_by": diary.owner,
            "expires_at": expires_at,
            "note": note,
        }
        await self._connection.execute(_SQL["put_role"], wanted)
        cursor = self._connection.cursor(row_factory=class_row(DiaryShare))
        await cursor.execute(_SQL["find_share"], wanted)
        share = await cursor.fetchone()
        assert share is not None, "the transaction holds the diary"  # noqa: S101  # an invariant
        return share

    async def remove_role(self, diary_id: DiaryId, grantee: Grantee) -> bool:
        return await fetch_flag(
            self._connection, _SQL["remove_role"], {"diary_id": diary_id, "grantee": grantee}
        )

    async def count_groups(self, diary_id: DiaryId) -> int:
        count = await fetch_count(
            self._connection, _SQL["count_group_roles"], {"diary_id": diary_id}
        )
        return count or 0
