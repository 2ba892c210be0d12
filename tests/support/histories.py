"""Histories: who called what, when, and what was answered; and whether all of it can be true.

Each key is an object of its own, and its calls must be linearizable: every call that was answered
has happened at one moment between its beginning and its answer, and one whose answer was lost has
happened at any moment since it began, or never. Whoever finds no such order has found a violation.

The order is looked for just in time (Lowe, "Testing for linearizability"; as porcupine does, by
key): a call is put into it no earlier than an answer needs it there. What leaves its object as it
is comes as early as it can, and of equal calls that were lost the earliest comes first, which
loses nothing. An object of which so much was lost that there is no end of orders is passed over.
"""

import threading
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Generic, Protocol, TypeVar

from support.clients import Answer

State = TypeVar("State", bound=Hashable)

_TOLD_CALLS = 15
_MOST_WORLDS = 2_000
_PASSED_OVER_AT_MOST = 0.1


class Call(Protocol[State]):
    """One call on one object."""

    @property
    def key(self) -> str: ...

    def explain(self, state: State, answer: Answer | None, /) -> Sequence[State]:
        """In what states the object may be after the call has happened to it in this one.

        None where it cannot have been answered so. Where the answer was lost, what the call may
        have done; none where it can have done nothing.
        """
        ...


@dataclass
class Record(Generic[State]):
    """A call that somebody has made; `ended` and `answer` are missing where it was lost."""

    who: str
    call: Call[State]
    begun: int
    ended: int | None = None
    answer: Answer | None = None

    def __str__(self) -> str:
        answer = "no answer" if self.answer is None else self.answer.text[:200]
        return f"[{self.begun}, {self.ended or '...'}] {self.who}: {self.call} gives {answer}"


class History(Generic[State]):
    """Everything that was called, by any thread; checked afterwards."""

    def __init__(self, initial: State) -> None:
        self._initial = initial
        self._records: list[Record[State]] = []
        self._moments = count(1)
        self._lock = threading.Lock()
        self.passed_over: list[str] = []
        """The objects that the last check could not decide on."""

    def begin(self, who: str, call: Call[State]) -> Record[State]:
        """To be told before the call is sent."""
        with self._lock:
            record = Record(who, call, next(self._moments))
            self._records.append(record)
        return record

    def end(self, record: Record[State], answer: Answer) -> None:
        """To be told after the answer came; never of a call whose outcome is unknown."""
        with self._lock:
            record.answer = answer
            record.ended = next(self._moments)

    def moment(self) -> int:
        """To be asked before a call is sent that may tell of many objects."""
        with self._lock:
            return next(self._moments)

    def note(self, who: str, call: Call[State], answer: Answer, begun: int) -> None:
        """What was learned of one object by a call that began at this moment."""
        with self._lock:
            self._records.append(Record(who, call, begun, next(self._moments), answer))

    def violations(self) -> list[str]:
        """What cannot be true, at most once an object."""
        by_key: dict[str, list[Record[State]]] = {}
        for record in self._records:
            by_key.setdefault(record.call.key, []).append(record)
        self.passed_over.clear()
        found: list[str | None] = []
        for key, records in by_key.items():
            try:
                found.append(_find_violation(self._initial, records))
            except _NoEndError:
                self.passed_over.append(key)
        assert len(self.passed_over) <= _PASSED_OVER_AT_MOST * len(by_key), self.passed_over
        return [violation for violation in found if violation is not None]

    def check(self) -> None:
        """Fails where something cannot be true."""
        violations = self.violations()
        assert not violations, "\n\n".join([f"{len(violations)} objects:", *violations[:3]])


@dataclass(frozen=True)
class _World(Generic[State]):
    """One way in which it can have been until now."""

    state: State
    happened: frozenset[int] = field(default=frozenset())
    """Which calls under way have happened already."""


class _NoEndError(Exception):
    """There are more ways in which it can have been than can be looked at."""


def _find_violation(initial: State, records: Sequence[Record[State]]) -> str | None:
    begins = [(record.begun, number) for number, record in enumerate(records)]
    ends = [(record.ended, number) for number, record in enumerate(records) if record.ended]
    lost = frozenset(number for number, record in enumerate(records) if not record.ended)
    worlds = {_World(initial)}
    under_way: dict[int, Record[State]] = {}
    for _, number in sorted(begins + ends):
        record = records[number]
        if number not in under_way:
            under_way[number] = record
            continue
        after = _worlds_after(number, worlds, under_way)
        if not after:
            return _tell(record, worlds, records)
        worlds = _without_needless(after, lost)
        del under_way[number]
    return None


def _worlds_after(
    number: int, worlds: set[_World[State]], under_way: Mapping[int, Record[State]]
) -> set[_World[State]]:
    """The worlds in which this call has happened, too."""
    after: set[_World[State]] = set()
    known: set[_World[State]] = set()
    coming = list(worlds)
    while coming:
        world = _with_harmless(coming.pop(), under_way)
        if world in known:
            continue
        known.add(world)
        if len(known) > _MOST_WORLDS:
            raise _NoEndError
        if number in world.happened:
            after.add(_World(world.state, world.happened - {number}))
            continue
        coming += [
            _World(state, world.happened | {other})
            for other, each in under_way.items()
            if other not in world.happened and not _comes_later(other, world, under_way)
            for state in each.call.explain(world.state, each.answer)
            if state != world.state
        ]
    return after


def _comes_later(number: int, world: _World[State], under_way: Mapping[int, Record[State]]) -> bool:
    """Whether an equal call comes before this one, both lost: one stands for the other."""
    record = under_way[number]
    return record.ended is None and any(
        other < number and each.ended is None and each.call == record.call
        for other, each in under_way.items()
        if other not in world.happened
    )


def _with_harmless(world: _World[State], under_way: Mapping[int, Record[State]]) -> _World[State]:
    """The same world, after every call that is answered and changes nothing in it."""
    harmless = {
        number
        for number, each in under_way.items()
        if number not in world.happened
        and each.answer is not None
        and list(each.call.explain(world.state, each.answer)) == [world.state]
    }
    return _World(world.state, world.happened | harmless) if harmless else world


def _without_needless(worlds: set[_World[State]], lost: frozenset[int]) -> set[_World[State]]:
    """Without worlds that have used up more lost calls than another that is the same."""
    by_rest: dict[tuple[State, frozenset[int]], list[frozenset[int]]] = {}
    for world in sorted(worlds, key=lambda each: len(each.happened)):
        least = by_rest.setdefault((world.state, world.happened - lost), [])
        used = world.happened & lost
        if not any(other <= used for other in least):
            least.append(used)
    return {
        _World(state, rest | used) for (state, rest), least in by_rest.items() for used in least
    }


def _tell(
    record: Record[State], worlds: set[_World[State]], records: Sequence[Record[State]]
) -> str:
    before = sorted(
        (each for each in records if each.begun <= (record.ended or 0)), key=lambda each: each.begun
    )
    states = "\n".join(f"  {world.state}" for world in worlds)
    calls = "\n".join(f"  {each}" for each in before[-_TOLD_CALLS:])
    return (
        f"{record.call.key}: this cannot be answered so:\n  {record}\n"
        f"as it was in one of these states, but for calls under way:\n{states}\nafter:\n{calls}"
    )
