"""Words of an entry are counted once, by whoever needs them first."""

from uuid import UUID

import pytest

from diary_mcp.domain.fields import AgentName, EntryId
from diary_mcp.domain.version import SearchText
from diary_mcp.service.index.tokenizer import WordCounts

AGENT = AgentName("alice")


def text(number: int, content: str, version: int = 1) -> SearchText:
    return SearchText(
        id=EntryId(UUID(int=number)),
        owner=AGENT,
        author="model",
        title=None,
        content=content,
        tags=[],
        version=version,
    )


def test_what_was_counted_is_remembered_until_the_entry_changes() -> None:
    counts = WordCounts()

    counted = counts.count([text(1, "backup backup failed")])

    assert counted[EntryId(UUID(int=1))] == {"backup": 2, "fail": 1, "model": 1}
    assert counts.list_uncounted([text(1, "backup backup failed")]) == []
    changed = text(1, "restored", version=2)
    assert counts.list_uncounted([changed]) == [changed]
    assert counts.count([changed])[changed.id] == {"restor": 1, "model": 1}


@pytest.mark.parametrize(("words", "is_remembered"), [(10, True), (10_000, False)])
def test_counts_of_a_long_entry_are_not_kept(words: int, *, is_remembered: bool) -> None:
    counts = WordCounts()
    entry = text(1, "word " * words)

    counts.count([entry])

    assert (counts.list_uncounted([entry]) == []) == is_remembered


def test_only_the_last_counts_are_kept() -> None:
    counts = WordCounts()
    entries = [text(number, f"entry {number}") for number in range(1_000)]

    counted = counts.count(entries)

    assert len(counted) == 1_000
    assert counts.list_uncounted(entries[-100:]) == []
    assert entries[0] in counts.list_uncounted(entries)
