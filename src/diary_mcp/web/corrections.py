"""What an entry corrects and what corrected it, as lines that lead from one to the next."""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from diary_mcp.domain.entry import Entry
from diary_mcp.domain.errors import NotFoundError
from diary_mcp.domain.fields import AgentName, EntryId
from diary_mcp.service.diary import Diary

_MOST_BEFORE, _MOST_AFTER = 20, 5


@dataclass(frozen=True)
class Step:
    """An entry in the picture, the newest on top; columns count from the left."""

    entry: Entry
    column: int
    comes_from: int | None
    """The column of the one that corrected it."""

    leads_on: bool
    """Whether what it corrects stands below."""

    passing: Sequence[int]
    """Columns whose line goes by."""


async def find_chain(diary: Diary, agent: AgentName, entry: Entry) -> Sequence[Step]:
    """The steps around an entry, as far as the agent may read them; empty where it stands alone."""
    known = {entry.id: entry}

    async def find(entry_id: EntryId | None) -> Entry | None:
        if entry_id is not None and entry_id not in known:
            with suppress(NotFoundError):
                known[entry_id] = await diary.entries.get(agent, str(entry_id))
        return None if entry_id is None else known.get(entry_id)

    top = entry
    for _ in range(_MOST_AFTER):
        top = await find(top.superseded_by) or top
    older: dict[EntryId, list[Entry]] = {}
    waiting, room = deque([top]), _MOST_BEFORE
    while waiting:
        each = waiting.popleft()
        # What leads to this entry comes first, for there may not be room for all.
        wanted = sorted(each.supersedes, key=lambda step: step not in known)[:room]
        older[each.id] = [step for one in wanted if (step := await find(one)) is not None]
        room -= len(older[each.id])
        waiting += older[each.id]
    steps = list(_draw(top, older, 0, None, ()))
    return steps if len(steps) > 1 else ()


def _draw(
    entry: Entry,
    older: Mapping[EntryId, Sequence[Entry]],
    column: int,
    comes_from: int | None,
    passing: tuple[int, ...],
) -> Iterator[Step]:
    below = older.get(entry.id, ())
    yield Step(entry, column, comes_from, bool(below), passing)
    for number, each in enumerate(below, 1):
        # The last goes straight on.
        is_last = number == len(below)
        beside = column if is_last else column + 1
        yield from _draw(each, older, beside, column, passing if is_last else (*passing, column))
