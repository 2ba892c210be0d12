"""Load: authors that write, change, share, unshare, delete and read all the time, through servers
that may die under them, and a logbook in which every call and its answer is.
"""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from random import Random
from typing import Generic, Protocol, TypeVar

from support.clients import Answer, ConnectionLostError, Json, answer_of
from support.histories import History, Record
from support.notes import (
    Change,
    Found,
    Note,
    Reading,
    State,
    create,
    delete,
    name_in,
    read_notes,
    share,
    unshare,
    update,
)

GRANTEES = ("bob", "cleo")
_CHANGES_AT_ONCE = 4
_READINGS_AT_ONCE = 3
_LIVE_NOTES = 6
_RECENT_NOTES = 9
_REPEATED = 0.5
_LISTED = 0.2


@dataclass
class Logbook:
    """What the authors of a test have done together."""

    history: History[State] = field(default_factory=lambda: History(None))
    authors: set[str] = field(default_factory=set[str])
    notes: dict[str, tuple[str, str]] = field(default_factory=dict[str, tuple[str, str]])
    """Every note that was acknowledged, by its entry's id: its name, and its owner.

    Those that were changed last come last.
    """

    readings_of_others: int = 0
    """How often somebody was shown a note that another has shared."""

    def check(self, url: str) -> None:
        """Fails unless all that was answered, and all that the rows say now, can be true."""
        found = [each for author in self.authors for each in read_notes(url, author)]
        missing = {name for name, _ in self.notes.values()} - {name for name, _ in found}
        for name, note in [*found, *((name, None) for name in missing)]:
            call = Found(name, note)
            self.history.end(self.history.begin("the rows", call), Answer(False, str(note), None))
        self.history.check()


class Connection(Protocol):
    """A client of one agent's, whose server may go away."""

    @property
    def is_lost(self) -> bool: ...

    def start_call(self, tool: str, /, **arguments: object) -> Future[Json]: ...

    def close(self) -> None: ...


Client = TypeVar("Client", bound=Connection)


class Author(threading.Thread, Generic[Client]):
    """One agent at work until it is told to stop."""

    def __init__(
        self,
        agent: str,
        connect: Callable[[], Client],
        seed: int | str,
        logbook: Logbook,
        *,
        grantees: Sequence[str] = GRANTEES,
    ) -> None:
        """Others of the same logbook read what this one writes, those in `grantees` rightly."""
        super().__init__(name=agent)
        self.agent = agent
        self.client = connect()
        self.acknowledged = 0
        self.at_work = threading.Event()
        """Set while its server has acknowledged something since it was started."""

        self.failure: BaseException | None = None
        self._connect = connect
        self._random = Random(seed)
        self._grantees = grantees
        self._logbook = logbook
        self._notes: dict[str, Note] = {}
        """Its notes of which it knows how they are."""

        self._ended = threading.Event()
        self._created = 0
        logbook.authors.add(agent)

    def run(self) -> None:
        try:
            while not self._ended.is_set():
                self._work()
                if self.client.is_lost:
                    self._reconnect()
        except BaseException as error:  # noqa: BLE001  # told by `stop`, in the test's thread
            self.failure = error

    def rest(self) -> None:
        """Ends the work after the calls under way; raises what went wrong in it."""
        self._ended.set()
        self.join(60)
        if self.failure is not None:
            raise self.failure

    def stop(self) -> None:
        """Ends the work, and kills the server."""
        try:
            self.rest()
        finally:
            self.client.close()

    def _work(self) -> None:
        changes = {change.key: change for change in map(self._choose, range(_CHANGES_AT_ONCE))}
        started = [(change, self._start(change)) for change in changes.values()]
        readings = [self._start_reading() for _ in range(_READINGS_AT_ONCE)]
        lost = [change for change, call in started if not self._take_in(change, call)]
        for reading in readings:
            reading()
        if lost and self._random.random() < _REPEATED:
            self._repeat(lost)

    def _repeat(self, lost: Sequence[Change]) -> None:
        """What a careful client does: the same calls again, to the next server if it lost this."""
        if self.client.is_lost:
            self._reconnect()
        for change in lost:
            self._take_in(change, self._start(change))

    def _start(self, change: Change) -> "_UnderWay":
        record = self._logbook.history.begin(self.agent, change)
        return record, self.client.start_call(change.tool, **change.arguments)

    def _take_in(self, change: Change, call: "_UnderWay") -> bool:
        """Takes in the answer of a change; `False` where it was lost.

        What a lost one has done the author does not know, and works on as if it were nothing.
        """
        answer = self._await(call)
        if answer is None:
            return False
        before = self._notes.pop(change.key, None)
        if answer.code == "ok":
            self.acknowledged += 1
            for note in filter(None, change.explain(before, answer)):
                self._notes[change.key] = note
                self._logbook.notes.pop(note.entry_id, None)
                self._logbook.notes[note.entry_id] = (change.key, self.agent)
        return True

    def _start_reading(self) -> Callable[[], None]:
        """Reads a note, perhaps of another; what is to be called then waits for the answer."""
        recent = list(self._logbook.notes.items())[-_RECENT_NOTES:]
        if not recent or self._random.random() < _LISTED:
            return self._start_listing()
        entry_id, (name, owner) = self._random.choice(recent)
        record = self._logbook.history.begin(self.agent, Reading(name, self.agent, owner))
        call = self.client.start_call("diary_get", entry_id=entry_id)

        def take_in() -> None:
            answer = self._await((record, call))
            if answer is not None and not answer.is_error and owner != self.agent:
                self._logbook.readings_of_others += 1

        return take_in

    def _start_listing(self) -> Callable[[], None]:
        begun = self._logbook.history.moment()
        call = self.client.start_call("diary_list", scope="all", limit=50)

        def take_in() -> None:
            answer = self._answer(call)
            entries: list[Json] = [] if answer is None else answer.data["entries"]
            for entry in entries:
                reading = Reading(
                    name_in(entry["snippet"]), self.agent, entry.get("owner", self.agent)
                )
                told = Answer(is_error=False, text=entry["snippet"], structured=entry)
                self._logbook.history.note(self.agent, reading, told, begun)

        return take_in

    def _await(self, call: "_UnderWay") -> Answer | None:
        """The answer, which is in the logbook then; `None` where it is not known what was done."""
        record, future = call
        answer = self._answer(future)
        if answer is not None:
            self._logbook.history.end(record, answer)
        return answer

    def _answer(self, call: Future[Json]) -> Answer | None:
        try:
            answer = answer_of(call)
        except ConnectionLostError:
            return None
        self.at_work.set()
        return None if answer.code == "unavailable" else answer

    def _reconnect(self) -> None:
        self.at_work.clear()
        self.client.close()
        self.client = self._connect()

    def _choose(self, _number: int) -> Change:
        if len(self._notes) < _LIVE_NOTES or self._random.random() < 0.1:
            self._created += 1
            name = f"{self.agent}-{self._created}"
            return create(name, keyed=self._random.random() < 0.5)
        name, note = self._random.choice(list(self._notes.items()))
        grantee = self._random.choice(self._grantees)
        return self._random.choice(
            [
                share(name, note.entry_id, grantee),
                share(name, note.entry_id, grantee),
                unshare(name, note.entry_id, self._random.choice(sorted(note.grantees)))
                if note.grantees
                else share(name, note.entry_id, grantee),
                update(name, note.entry_id, note.version),
                update(name, note.entry_id, note.version),
                delete(name, note.entry_id),
            ]
        )


_UnderWay = tuple[Record[State], Future[Json]]
