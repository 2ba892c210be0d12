"""Digests: what a diary comes to, in few words."""

from pydantic import BaseModel, Field

from diary_mcp.domain.fields import EntryId, EntryType, Time

_DEFAULT_IMPORTANCE = 0.5


def _is_default(importance: float) -> bool:
    return importance == _DEFAULT_IMPORTANCE


class Mention(BaseModel, frozen=True):
    """An entry named in a digest: enough to recognise it, and its id to read it by."""

    id: EntryId
    type: EntryType
    date: Time
    importance: float = Field(exclude_if=_is_default)
    title: str
    """Its title, or else the beginning of its content."""


class Correction(Mention, frozen=True):
    """An entry that corrects others, as it stands now."""

    corrects: tuple[Mention, ...]
    """What it supersedes, and what that superseded in turn; empty where it names nothing."""


class Excerpt(Mention, frozen=True):
    """An entry with the beginning of its content."""

    snippet: str


class Reflection(BaseModel, frozen=True):
    """One agent's own entries of a time, or all of them, in at most about 2,000 tokens."""

    entries: int
    by_type: dict[EntryType, int]
    by_tag: dict[str, int]
    most_important: tuple[Mention, ...]
    open_problems: tuple[Mention, ...]
    corrections: tuple[Correction, ...]
    last_handoff: Excerpt | None
    notice: str | None
    """What had no room, or `None`."""
