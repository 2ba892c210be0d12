"""Histories: who called what, when, and what was answered; and whether all of it can be true.

Each key is an object of its own, and its calls must be linearizable: every call that was answered
has happened at one moment between its beginning and its answer, and one whose answer was lost has
happened at any moment since it began, or never. Whoever finds no such order has found a violation.

The order is looked for just in time (Lowe, "Testing for linearizability"; as porcupine does, by
key): a call is put into it no earlier than an answer needs it there. What leaves its object as it
is comes as early as it can, which loses nothing.
"""

import threading
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Generic, Protocol, TypeVar

from support.clients import Answer

State = TypeVar("State", bound=Hashable)

_TOLD_CALLS = 15


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
        found = (_find_violation(self._initial, records) for records in by_key.values())
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
        if number in world.happened:
            after.add(_World(world.state, world.happened - {number}))
            continue
        coming += [
            _World(state, world.happened | {other})
            for other, each in under_way.items()
            if other not in world.happened
            for state in each.call.explain(world.state, each.answer)
            if state != world.state
        ]
    return after


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
    return {
        world
        for world in worlds
        if not any(
            other.state == world.state
            and other.happened < world.happened
            and world.happened - other.happened <= lost
            for other in worlds
        )
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
