"""Entries as a reader sees them, made up."""

from datetime import UTC, datetime
from uuid import UUID

from diary_mcp.domain.entry import Entry, EntrySummary, Role
from diary_mcp.domain.fields import AgentName, EntryId

HASH = "ab" * 32
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ENTRY_ID = EntryId(UUID("01a209f7-3236-76fc-9537-63feee86b6c8"))


def entry(role: Role, content: str = "What happened.", owner: str = "bob") -> Entry:
    return Entry(
        id=ENTRY_ID,
        key=None,
        owner=AgentName(owner),
        author="model-1",
        session=None,
        type="note",
        title="A title",
        tags=(),
        importance=0.5,
        supersedes=(),
        superseded_by=None,
        version=1,
        date=NOW,
        created_at=NOW,
        updated_at=NOW,
        content_hash=f"sha256:{HASH}",
        role=role,
        sharing="settled",
        content=content,
    )


def summary(role: Role, snippet: str, owner: str = "bob") -> EntrySummary:
    fields = entry(role, owner=owner).model_dump(exclude={"content"})
    return EntrySummary(**fields, snippet=snippet)
