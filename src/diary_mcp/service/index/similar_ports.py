"""What the look for similar entries needs from the store."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from diary_mcp.domain.fields import AgentName, EntryId
from diary_mcp.service.index.ports import SearchText


@dataclass(frozen=True)
class SharedWords:
    """How many words an entry has, and how many of them another has too."""

    id: EntryId
    title: str | None
    words: int
    shared_terms: int
    """Different ones."""
    shared_words: int
    """Each as often as both have it."""


@dataclass(frozen=True)
class Candidates:
    """Earlier entries that may say the same as a new one."""

    indexed: list[SharedWords]
    unindexed: list[SearchText]


class SimilarReader(Protocol):
    """Own entries by the words that they share with a new one; superseded ones are left out."""

    async def list_candidates(
        self, owner: AgentName, before: EntryId, counts: Mapping[str, int], rarest: Sequence[str]
    ) -> Candidates:
        """Some indexed entries made before `before` that have most of `rarest`, in no order.

        And the newest entries made before it that are not indexed yet, a few pages of them. What
        is indexed at this moment may be among both.
        """
        ...
