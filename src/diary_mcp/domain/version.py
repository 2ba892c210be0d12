"""Earlier versions of an entry."""

from pydantic import BaseModel

from diary_mcp.domain.fields import EntryType, Time


class VersionSummary(BaseModel, frozen=True):
    """One version: all of it but the content."""

    version: int
    updated_at: Time
    type: EntryType
    title: str | None
    tags: tuple[str, ...]
    importance: float
    content_hash: str


class EntryVersion(VersionSummary, frozen=True):
    """What an entry said at one version."""

    content: str
