"""Load: authors that write, change, share, unshare and delete all the time, through servers that
may die under them, and a record of what they must find afterwards.

What an author knows of a note is the set of states that it may be in. An acknowledged change
leaves the states that it leads to, a refused one those that it cannot start from, and one whose
answer was lost leaves both. Whatever is in the rows must be one of them.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from random import Random
from typing import Generic, Protocol, TypeVar

from support.clients import Answer, ConnectionLostError, Json, answer_of
from support.ground_truth import ask

GRANTEES = ("bob", "cleo")
_CALLS_AT_ONCE = 4
_LIVE_NOTES = 8
_REPEATED_SHARE = 0.5


@dataclass(frozen=True)
class Note:
    """One state of a note."""

    version: int = 1
    content: str = ""
    grantees: frozenset[str] = frozenset()


State = Note | None
"""`None`: there is no such note."""


@dataclass(frozen=True)
class Change:
    """A tool call on the note with this key, and where it leads from each state."""

    key: str
    tool: str
    arguments: Json
    lead: Callable[[State], Sequence[State]]
    """The state after; none where the call has to be refused."""


@dataclass
class Knowledge:
    """What an author may find, note by note."""

    states: dict[str, frozenset[State]]
    acknowledged: int = 0

    def of(self, key: str) -> frozenset[State]:
        return self.states.get(key, frozenset({None}))

    def learn(self, change: Change, answer: Answer | None) -> None:
        """Takes in an answer; `None` is one that was lost."""
        before = self.of(change.key)
        after = frozenset(state for each in before for state in change.lead(each))
        if answer is None or answer.code == "unavailable":
            self.states[change.key] = before | after
            return
        if answer.code == "ok":
            self.acknowledged += 1
            possible = after
        else:
            assert answer.code in {"not_found", "conflict"}, answer.text
            possible = frozenset(each for each in before if not change.lead(each))
        assert possible, f"{change} cannot be answered with {answer.text} in any of {before}"
        self.states[change.key] = possible

    def check(self, found: Mapping[str, State]) -> None:
        """Fails where a note is in none of the states that it may be in."""
        wrong = {
            key: (found.get(key), possible)
            for key, possible in self.states.items()
            if found.get(key) not in possible
        }
        assert wrong == {}
        assert found.keys() <= self.states.keys()


class Connection(Protocol):
    """A client of one agent's, whose server may go away."""

    @property
    def is_lost(self) -> bool: ...

    def start_call(self, tool: str, /, **arguments: object) -> Future[Json]: ...

    def close(self) -> None: ...


Client = TypeVar("Client", bound=Connection)


class Author(threading.Thread, Generic[Client]):
    """One agent at work until it is told to stop."""

    def __init__(self, agent: str, connect: Callable[[], Client], seed: int) -> None:
        super().__init__(name=agent)
        self.agent = agent
        self.knowledge = Knowledge({})
        self.client = connect()
        self.at_work = threading.Event()
        """Set while its server has acknowledged something since it was started."""

        self.failure: BaseException | None = None
        self._connect = connect
        self._random = Random(seed)
        self._ended = threading.Event()
        self._created = 0

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
        changes = {change.key: change for change in map(self._choose, range(_CALLS_AT_ONCE))}
        calls: list[tuple[Change, Future[Json]]] = [
            (change, self.client.start_call(change.tool, **change.arguments))
            for change in changes.values()
        ]
        lost = [change for change, call in calls if not self._await(change, call)]
        if lost and self._random.random() < _REPEATED_SHARE:
            self._repeat(lost)

    def _repeat(self, lost: Sequence[Change]) -> None:
        """What a careful client does: the same calls again, to the next server."""
        self._reconnect()
        for change in lost:
            self._await(change, self.client.start_call(change.tool, **change.arguments))

    def _await(self, change: Change, call: Future[Json]) -> bool:
        """Takes in the answer of a call; `False` where it was lost."""
        try:
            answer = answer_of(call)
        except ConnectionLostError:
            answer = None
        self.knowledge.learn(change, answer)
        if answer is not None:
            self.at_work.set()
        return answer is not None

    def _reconnect(self) -> None:
        self.at_work.clear()
        self.client.close()
        self.client = self._connect()

    def _choose(self, _number: int) -> Change:
        live = [
            (key, note)
            for key, states in self.knowledge.states.items()
            for note in states
            if len(states) == 1 and note is not None
        ]
        if len(live) < _LIVE_NOTES or self._random.random() < 0.1:
            self._created += 1
            return create(f"{self.agent}-{self._created}")
        key, note = self._random.choice(live)
        grantee = self._random.choice(GRANTEES)
        return self._random.choice(
            [
                share(key, grantee),
                unshare(key, grantee) if note.grantees else share(key, grantee),
                share(key, grantee),
                update(key, note),
                delete(key),
            ]
        )


def create(key: str) -> Change:
    content = f"{key}, as it was first."
    made = Note(content=content)

    def lead(state: State) -> Sequence[State]:
        return [made] if state in {None, made} else []

    arguments = {"content": content, "key": key, "idempotency_key": key}
    return Change(key, "diary_create", arguments, lead)


def share(key: str, grantee: str) -> Change:
    def lead(state: State) -> Sequence[State]:
        return [replace(state, grantees=state.grantees | {grantee})] if state else []

    return Change(key, "diary_share", {"entry_id": key, "with": grantee}, lead)


def unshare(key: str, grantee: str) -> Change:
    def lead(state: State) -> Sequence[State]:
        if state is None or grantee not in state.grantees:
            return []
        return [replace(state, grantees=state.grantees - {grantee})]

    return Change(key, "diary_unshare", {"entry_id": key, "with": grantee}, lead)


def update(key: str, note: Note) -> Change:
    content = f"{key}, as it was in version {note.version + 1}."

    def lead(state: State) -> Sequence[State]:
        if state is None or state.version != note.version:
            return []
        return [replace(state, version=note.version + 1, content=content)]

    arguments = {"entry_id": key, "expected_version": note.version, "content": content}
    return Change(key, "diary_update", arguments, lead)


def delete(key: str) -> Change:
    def lead(state: State) -> Sequence[State]:
        return [] if state is None else [None]

    return Change(key, "diary_delete", {"entry_id": key}, lead)


def read_notes(url: str, owner: str) -> dict[str, State]:
    """An author's notes, from the rows."""
    rows = ask(
        url,
        "select key, version, content, array(select grantee from diary.share where entry_id = id)"
        " from diary.entry where owner = %s",
        owner,
    )
    return {
        str(key): Note(int(str(version)), str(content), frozenset(_texts(grantees)))
        for key, version, content, grantees in rows
    }


def _texts(values: object) -> list[str]:
    assert isinstance(values, list)
    return [str(value) for value in values]  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
