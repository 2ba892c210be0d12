"""What entries come to: counts, what matters, what is open, what was corrected.

From the rows alone, without a model and without the permission backend: the same rows always
give the same digest. The size is bounded, so that a model can afford to read it.
"""

from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass, replace

from pydantic import BaseModel

from diary_mcp.domain.entry import Entry, untrusted
from diary_mcp.domain.fields import AgentName, EntryType
from diary_mcp.domain.reflection import (
    OTHERS_TAGS,
    Correction,
    Excerpt,
    Mention,
    ReceivedDiary,
    ReceivedEntry,
    Reflection,
    Solution,
)
from diary_mcp.service.entries.target_diary import Looked, Places
from diary_mcp.service.ports.entries import Readership
from diary_mcp.service.ports.reflection import (
    DayCount,
    EntrySelection,
    OpenedCount,
    Preview,
    TypeCount,
)
from diary_mcp.service.ports.store import Reading, Store
from diary_mcp.service.size_budget import MAX_DIGEST_BYTES, share_room, shorten, size_bytes

_MAX_TAGS = 12
_TITLE_BYTES = 90
_TAG_BYTES = 32
_SNIPPET_BYTES = 600
_MAX_IN_CONTEXT = 20
_IMPORTANT = 0.9
_MIN_IMPORTANCE_IN_CONTEXT = 0.2
"""Less has what a machine wrote and was imported."""
_SOLVING = frozenset({"progress", "decision"})
_LEFT_OUT_WHEN_EMPTY = '"solved":[],"shared_with_you":[],'
_NO_ROOM = (
    "Cut short; {} of {} open problems are shown. Narrow it with since, until or types, or use "
    "diary_list."
)


@dataclass(frozen=True)
class SessionContext:
    """What an agent should know when a session starts."""

    agent: AgentName
    entries: int
    last_handoff: Entry | None
    important: tuple[Mention, ...]
    """Of every type; the other lists do not repeat them."""

    open_problems: tuple[Mention, ...]
    open_problem_count: int
    recent_decisions: tuple[Mention, ...]
    corrections: tuple[Correction, ...]
    recent_notes: tuple[Mention, ...]
    """Notes and discoveries."""

    solved: tuple[Solution, ...] = ()
    diary: str | None = None
    """The current one, which all of this is of."""


@dataclass(frozen=True)
class Chronicle:
    """How a diary came to be, the earliest day first."""

    days: Sequence[DayCount]
    problems: Sequence[OpenedCount]
    notice: str | None


class ReflectionService:
    """Digests for one agent at a time: of its own entries, a diary, or all that it may read."""

    def __init__(self, store: Store, places: Places) -> None:
        self._store = store
        self._places = places

    async def reflect(
        self,
        selection: EntrySelection,
        limit: int,
        received: Sequence[ReceivedEntry | ReceivedDiary] = (),
        *,
        diary: str | None = None,
        current: str | None = None,
    ) -> Reflection:
        """A digest of the selected entries; each of its lists names at most `limit`.

        They are the owner's own, or those of a diary or of everything where that is asked for.

        What was `received` from other agents is shown beside them.

        Its lists are cut where the whole would take more than about 2,000 tokens; `notice` then
        says so.

        Raises:
            NotFoundError: there is no such diary that the caller may read.
            PermissionBackendUnavailableError: something is another agent's, and nobody can say
                whether the caller may read it.
        """

        async def fetch(looked: Looked) -> Reflection:
            selected = await self._select(selection, looked)
            return await self._digest(selected, limit, received, looked.notice)

        return await self._places.read(selection.owner, diary, current, fetch)

    async def _select(self, selection: EntrySelection, looked: Looked) -> EntrySelection:
        reader = await self._places.names_of(looked)
        return replace(selection, within=looked.within, groups=reader.groups)

    async def _digest(
        self,
        selection: EntrySelection,
        limit: int,
        received: Sequence[ReceivedEntry | ReceivedDiary],
        notice: str | None,
    ) -> Reflection:
        async with self._store.reading() as rows:
            types = await rows.reflection.count_by_type(selection)
            tags = await rows.reflection.count_by_tag(selection, _MAX_TAGS)
            important = await rows.reflection.list_most_important(selection, limit)
            problems = await rows.reflection.list_newest(selection.only("problem"), limit)
            chains = await rows.reflection.list_corrections(selection, limit)
            handoffs = await rows.reflection.list_newest(selection.only("handoff"), 1)
        complete = Reflection(
            untrusted=OTHERS_TAGS if any(each["is_others"] for each in tags) else None,
            entries=sum(count.entries for count in types),
            by_type={count.type: count.entries for count in types},
            by_tag={shorten(count["tag"], _TAG_BYTES): count["count"] for count in tags},
            most_important=tuple(map(_mention, important)),
            open_problems=tuple(map(_mention, problems)),
            solved=tuple(_solutions(chains)),
            corrections=tuple(_corrections(chains)),
            last_handoff=_excerpt(handoffs[0]) if handoffs else None,
            shared_with_you=tuple(received[:limit]),
            notice=notice,
        )
        return _fit(complete, _count_current(types, "problem"))

    async def recall(self, agent: AgentName, *, current: str | None = None) -> SessionContext:
        """What `agent` should know when a session starts; see `diary://context`.

        Raises:
            NotFoundError: the current diary is another agent's, and `agent` may not read it.
        """
        everything = EntrySelection(agent, min_importance=_MIN_IMPORTANCE_IN_CONTEXT)

        async def fetch(looked: Looked) -> SessionContext:
            selection = await self._select(everything, looked)
            return replace(await self._recall(selection, looked.reader), diary=current)

        return await self._places.read(agent, None, current, fetch)

    async def _recall(self, selection: EntrySelection, reader: Readership) -> SessionContext:
        async with self._store.reading() as rows:
            types = await rows.reflection.count_by_type(selection)
            problems = await rows.reflection.list_newest(selection.only("problem"), _MAX_IN_CONTEXT)
            decisions = await rows.reflection.list_newest(
                selection.only("decision"), _MAX_IN_CONTEXT
            )
            chains = await rows.reflection.list_corrections(selection, _MAX_IN_CONTEXT)
            important = [
                each
                for each in await rows.reflection.list_most_important(selection, _MAX_IN_CONTEXT)
                if each.importance >= _IMPORTANT
            ]
            notes = await rows.reflection.list_newest(
                replace(selection, types=("note", "discovery")), _MAX_IN_CONTEXT
            )
            handoff = await _find_last_handoff(rows, selection, reader)
        named = {each.id for each in important}
        if handoff is not None:
            important = [each for each in important if each.id != handoff.id]
        others = [
            tuple(_mention(each) for each in some if each.id not in named)
            for some in (problems, decisions, notes)
        ]
        return SessionContext(
            agent=selection.owner,
            entries=sum(count.entries for count in types),
            last_handoff=handoff,
            important=tuple(map(_mention, important)),
            open_problems=others[0],
            open_problem_count=_count_current(types, "problem") - (len(problems) - len(others[0])),
            recent_decisions=others[1],
            solved=tuple(each for each in _solutions(chains) if each.id not in named),
            corrections=tuple(each for each in _corrections(chains) if each.id not in named),
            recent_notes=others[2],
        )

    async def look_back(
        self, agent: AgentName, diary: str | None, *, current: str | None = None
    ) -> Chronicle:
        """The agent's own entries, or those of a diary, day by day.

        Raises:
            NotFoundError: there is no such diary that the agent may read.
        """

        async def fetch(looked: Looked) -> Chronicle:
            selection = await self._select(EntrySelection(agent), looked)
            async with self._store.reading() as rows:
                return Chronicle(
                    days=await rows.reflection.count_by_day(selection),
                    problems=await rows.reflection.list_open_problems_by_day(selection),
                    notice=looked.notice,
                )

        return await self._places.read(agent, diary, current, fetch)

    async def find_last_handoff(self, agent: AgentName) -> Entry | None:
        """The newest entry of type `handoff` of the agent's own."""
        async with self._store.reading() as rows:
            return await _find_last_handoff(rows, EntrySelection(agent), Readership(agent))


async def _find_last_handoff(
    rows: Reading, selection: EntrySelection, reader: Readership
) -> Entry | None:
    for preview in await rows.reflection.list_newest(selection.only("handoff"), 1):
        return await rows.entries.find(reader, str(preview.id))
    return None


def _mention(preview: Preview) -> Mention:
    return Mention(
        id=preview.id,
        untrusted=None if preview.owner is None else untrusted(preview.owner),
        owner=preview.owner,
        type=preview.type,
        date=preview.date.replace(microsecond=0),
        importance=preview.importance,
        title=_heading(preview),
    )


def _excerpt(preview: Preview) -> Excerpt:
    snippet = shorten(preview.opening, _SNIPPET_BYTES)
    return Excerpt(**dict(_mention(preview)), snippet=snippet)


def _solutions(chains: Iterable[Sequence[Preview]]) -> Generator[Solution]:
    for head, *superseded in chains:
        solved = [each for each in superseded if _is_solved(each, head)]
        if solved:
            yield Solution(**dict(_mention(head)), solves=tuple(map(_mention, solved)))


def _corrections(chains: Iterable[Sequence[Preview]]) -> Generator[Correction]:
    """What is more than a solution."""
    for head, *superseded in chains:
        corrected = [each for each in superseded if not _is_solved(each, head)]
        if corrected or not superseded:
            yield Correction(**dict(_mention(head)), corrects=tuple(map(_mention, corrected)))


def _is_solved(problem: Preview, head: Preview) -> bool:
    return problem.type == "problem" and head.type in _SOLVING


def _heading(preview: Preview) -> str:
    lines = (line.strip("# \t\r") for line in (preview.title or preview.opening).split("\n"))
    return shorten(next(filter(None, lines), "(blank)"), _TITLE_BYTES)


def _count_current(counts: Sequence[TypeCount], entry_type: EntryType) -> int:
    return next((count.current for count in counts if count.type == entry_type), 0)


def _fit(complete: Reflection, open_problem_count: int) -> Reflection:
    lists: dict[str, Sequence[BaseModel]] = {
        "open_problems": complete.open_problems,
        "shared_with_you": complete.shared_with_you,
        "solved": complete.solved,
        "corrections": complete.corrections,
        "most_important": complete.most_important,
    }
    frame = complete.model_copy(update=dict.fromkeys(lists, ()))
    sizes = [[size_bytes(each.model_dump_json()) + 1 for each in some] for some in lists.values()]
    room = MAX_DIGEST_BYTES - size_bytes(frame.model_dump_json()) - size_bytes(_NO_ROOM)
    kept = share_room(sizes, room - size_bytes(_LEFT_OUT_WHEN_EMPTY))
    is_cut = kept != [len(each) for each in sizes] or open_problem_count > len(sizes[0])
    notice = _NO_ROOM.format(kept[0], open_problem_count) if is_cut else complete.notice
    shown = {name: some[:count] for (name, some), count in zip(lists.items(), kept, strict=True)}
    return frame.model_copy(update={**shown, "notice": notice})
