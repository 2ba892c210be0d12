"""What the store tells of the audit trail."""

from collections.abc import Sequence
from typing import Literal, Protocol

from diary_mcp.domain.diaries import DiaryRole
from diary_mcp.domain.fields import AgentName, DiaryId, EntryId, Grantee, Model, Time

GivingKind = Literal[
    "shared",
    "unshared",
    "share_expired",
    "share_deleted_with_entry",
    "share_deleted_with_diary",
    "diary_transferred",
]


class Giving(Model, frozen=True):
    """Something that was given or taken back: to read an entry, or a role on a diary.

    `title` and `diary` are there where the reader of the trail owns the entry, or the diary, now.
    """

    id: int
    happened_at: Time
    event: GivingKind
    agent: AgentName
    """Who gave it."""

    grantee: Grantee
    entry_id: EntryId | None
    title: str | None
    diary_id: DiaryId | None
    diary: str | None
    role: DiaryRole | None
    expires_at: Time | None


class AuditReader(Protocol):
    async def list_given(
        self, agent: AgentName, before: int | None, limit: int
    ) -> Sequence[Giving]:
        """What the agent gave and was given under its own name, the latest first.

        Not what an earlier agent of that name did.
        """
        ...
