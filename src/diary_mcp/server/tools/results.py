"""What each tool returns, as clients see it."""

from importlib.metadata import version
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, Field

from diary_mcp.domain.entry import EntrySummary, SearchHit
from diary_mcp.domain.fields import AgentName, EntryId, Grantee, GroupName, Time
from diary_mcp.domain.share import Share
from diary_mcp.service.diary import Diary


class Result(BaseModel, frozen=True):
    """Base of every result that is not simply an entry."""


class EntriesResult(Result, frozen=True):
    entries: list[EntrySummary]
    next_cursor: str | None


class SearchResult(Result, frozen=True):
    hits: list[SearchHit]
    next_cursor: str | None
    notice: str | None


class DeletedResult(Result, frozen=True):
    entry_id: EntryId
    deleted: Literal[True] = True


class RevokedResult(Result, frozen=True):
    entry_id: EntryId
    grantee: Grantee = Field(serialization_alias="with")
    revoked: Literal[True] = True


class SharesResult(Result, frozen=True):
    shares: list[Share]
    next_cursor: str | None


class TagResult(Result, frozen=True):
    tag: str
    count: int


class TagsResult(Result, frozen=True):
    tags: list[TagResult]


class Counts(Result, frozen=True):
    entries: int
    shared: int


class Backends(Result, frozen=True):
    database: str
    permissions: str


class Signing(Result, frozen=True):
    sequence: int
    head: str | None
    keys: list[str]
    key: str | None
    problem: str | None


class SignatureRequestResult(Result, frozen=True):
    request_id: UUID
    statement: str
    salt: str | None
    expires_at: Time
    command: str


class SignedResult(Result, frozen=True):
    entry_id: EntryId | None
    sequence: int
    link: str


class WhoamiResult(Result, frozen=True):
    agent: AgentName
    groups: list[GroupName] | None
    counts: Counts
    version: str
    backends: Backends
    signing: Signing


async def tags_of(diary: Diary, agent: AgentName, prefix: str, limit: int) -> TagsResult:
    """The agent's own tags, the most used first."""
    counts = await diary.browsing.list_tags(agent, prefix, limit)
    return TagsResult(tags=[TagResult(**count) for count in counts])


async def identity_of(diary: Diary, agent: AgentName) -> WhoamiResult:
    """Who the agent is, and what the server runs on."""
    identity = await diary.browsing.identify(agent)
    chain = await diary.signing.describe(agent)
    return WhoamiResult(
        agent=identity.agent,
        groups=identity.groups,
        counts=Counts(**identity.counts),
        version=version("diary-mcp"),
        backends=Backends(database=diary.backends.database, permissions=diary.backends.permissions),
        signing=Signing(
            sequence=chain.sequence,
            head=chain.hash,
            keys=list(chain.keys),
            key=chain.key,
            problem=chain.problem,
        ),
    )
