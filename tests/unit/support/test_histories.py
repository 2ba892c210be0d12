"""The checker of histories finds what cannot be true in made-up ones, and nothing else."""

import pytest

from support.clients import Answer, Json
from support.histories import Call, History, Record
from support.notes import (
    Change,
    Found,
    Note,
    Reading,
    State,
    create,
    delete,
    share,
    unshare,
    update,
)

ID = "0190-1"
FIRST = "note, as it was first."
SECOND = "note, as it was in version 2."
CREATE = create("note")
SHARE = share("note", ID, "bob")
UNSHARE = unshare("note", ID, "bob")
UPDATE = update("note", ID, 1)
DELETE = delete("note", ID)
BY_ALICE = Reading("note", "alice", "alice")
BY_BOB = Reading("note", "bob", "alice")
BY_EVE = Reading("note", "eve", "alice")


def ok(**data: object) -> Answer:
    return Answer(is_error=False, text=str(data), structured=data)


def no(code: str) -> Answer:
    return Answer(is_error=True, text=f"{code}: told so.", structured=None)


DONE = ok()
CREATED = ok(id=ID)
VERSION_1 = ok(id=ID, version=1, content=FIRST)
VERSION_2 = ok(id=ID, version=2, content=SECOND)
NOT_FOUND = no("not_found")
Step = tuple[Call[State], Answer | None]
IS_THERE: Step = (CREATE, CREATED)


def history_of(*steps: Step) -> History[State]:
    """One call after the other; those without an answer were lost."""
    history = History[State](None)
    for call, answer in steps:
        record = history.begin("somebody", call)
        if answer is not None:
            history.end(record, answer)
    return history


class Overlapping:
    """A history whose calls are begun and answered in any order."""

    def __init__(self, *steps: Step) -> None:
        self.history = history_of(*steps)

    def begin(self, call: Call[State]) -> Record[State]:
        return self.history.begin("somebody", call)

    def end(self, record: Record[State], answer: Answer) -> None:
        self.history.end(record, answer)


def row(version: int = 1, content: str = FIRST, *grantees: str, entry_id: str = ID) -> Found:
    return Found("note", Note(version, content, frozenset(grantees), entry_id))


POSSIBLE: dict[str, list[Step]] = {
    "a life": [
        IS_THERE,
        (SHARE, DONE),
        (BY_BOB, NOT_FOUND),
        (BY_BOB, VERSION_1),
        (UPDATE, DONE),
        (BY_BOB, VERSION_2),
        (UNSHARE, DONE),
        (BY_BOB, NOT_FOUND),
        (DELETE, DONE),
        (BY_ALICE, NOT_FOUND),
        (Found("note", None), DONE),
    ],
    "a lost create that did happen": [(CREATE, None), (BY_ALICE, VERSION_1)],
    "a lost create that did not": [(CREATE, None), (BY_ALICE, NOT_FOUND)],
    "a lost create that happened late": [
        (CREATE, None),
        (BY_ALICE, NOT_FOUND),
        (BY_ALICE, VERSION_1),
    ],
    "a lost create that was repeated": [(CREATE, None), (CREATE, CREATED), (row(), DONE)],
    "a repeated create": [IS_THERE, (CREATE, CREATED), (BY_ALICE, VERSION_1)],
    "a lost share by which somebody reads": [IS_THERE, (SHARE, None), (BY_BOB, VERSION_1)],
    "a lost unshare, and the share is there": [
        IS_THERE,
        (SHARE, DONE),
        (UNSHARE, None),
        (row(1, FIRST, "bob"), DONE),
    ],
    "a lost delete, and what comes after it is refused": [
        IS_THERE,
        (DELETE, None),
        (UPDATE, NOT_FOUND),
        (Found("note", None), DONE),
    ],
    "a change of a version that is gone": [IS_THERE, (UPDATE, DONE), (UPDATE, no("conflict"))],
    "losses of every kind": [
        IS_THERE,
        *[(call, None) for call in (SHARE, UNSHARE, UPDATE, SHARE, UNSHARE, SHARE)],
        (row(2, SECOND, "bob"), DONE),
    ],
}
POSSIBLE["very many losses"] = [
    IS_THERE,
    *[(call, None) for call in (SHARE, UNSHARE) * 30],
    (UPDATE, DONE),
    (row(2, SECOND, "bob"), DONE),
]
IMPOSSIBLE: dict[str, list[Step]] = {
    "an acknowledged create is lost": [IS_THERE, (BY_ALICE, NOT_FOUND)],
    "an acknowledged create is not in the rows": [IS_THERE, (Found("note", None), DONE)],
    "an acknowledged change is lost": [IS_THERE, (UPDATE, DONE), (row(), DONE)],
    "an acknowledged share is lost": [IS_THERE, (SHARE, DONE), (row(), DONE)],
    "an acknowledged share is not there to be taken back": [
        IS_THERE,
        (SHARE, DONE),
        (UNSHARE, NOT_FOUND),
    ],
    "an acknowledged delete is undone": [IS_THERE, (DELETE, DONE), (BY_ALICE, VERSION_1)],
    "somebody reads after the share was taken back": [
        IS_THERE,
        (SHARE, DONE),
        (UNSHARE, DONE),
        (BY_BOB, VERSION_1),
    ],
    "somebody reads after a lost unshare that has happened": [
        IS_THERE,
        (SHARE, DONE),
        (UNSHARE, None),
        (UNSHARE, NOT_FOUND),
        (BY_BOB, VERSION_1),
    ],
    "somebody reads with whom nothing was shared": [IS_THERE, (SHARE, DONE), (BY_EVE, VERSION_1)],
    "the version goes back for a reader": [
        IS_THERE,
        (SHARE, DONE),
        (UPDATE, None),
        (BY_BOB, VERSION_2),
        (BY_BOB, VERSION_1),
    ],
    "the owner reads an old version": [IS_THERE, (UPDATE, DONE), (BY_ALICE, VERSION_1)],
    "a version with the content of another": [
        IS_THERE,
        (BY_ALICE, ok(id=ID, version=1, content=SECOND)),
    ],
    "a repeated create makes another entry": [IS_THERE, (CREATE, ok(id="0190-2"))],
    "a lost create and its repetition are two entries": [
        (CREATE, None),
        IS_THERE,
        (row(), DONE),
        (row(entry_id="0190-2"), DONE),
    ],
    "a repeated create is refused": [(CREATE, None), (CREATE, no("conflict"))],
    "a change is made twice": [IS_THERE, (UPDATE, DONE), (UPDATE, DONE)],
    "a change is refused without a reason": [IS_THERE, (UPDATE, no("conflict"))],
    "an error that nobody can cause": [IS_THERE, (UPDATE, no("internal"))],
    "a share that nobody gave": [IS_THERE, (row(1, FIRST, "bob"), DONE)],
}


@pytest.mark.parametrize("name", POSSIBLE)
def test_what_can_be_true_is_no_violation(name: str) -> None:
    history_of(*POSSIBLE[name]).check()


@pytest.mark.parametrize("name", IMPOSSIBLE)
def test_what_cannot_be_true_is_found(name: str) -> None:
    violations = history_of(*IMPOSSIBLE[name]).violations()

    assert len(violations) == 1
    assert str(IMPOSSIBLE[name][-1][0]) in violations[0]


def test_what_is_read_while_a_share_is_being_taken_back_may_be_read() -> None:
    calls = Overlapping(IS_THERE, (SHARE, DONE))
    reading = calls.begin(BY_BOB)
    calls.end(calls.begin(UNSHARE), DONE)
    calls.end(reading, VERSION_1)

    calls.history.check()


def test_what_is_begun_after_a_share_was_taken_back_is_not_read() -> None:
    calls = Overlapping(IS_THERE, (SHARE, DONE))
    unsharing = calls.begin(UNSHARE)
    calls.end(calls.begin(BY_BOB), NOT_FOUND)
    calls.end(unsharing, DONE)
    reading = calls.begin(BY_BOB)
    calls.end(calls.begin(SHARE), DONE)
    calls.end(reading, VERSION_1)

    calls.history.check()

    calls.end(calls.begin(UNSHARE), DONE)
    calls.end(calls.begin(BY_BOB), VERSION_1)

    assert calls.history.violations()


def test_two_readers_at_once_see_a_change_in_one_order() -> None:
    calls = Overlapping(IS_THERE, (SHARE, DONE))
    updating = calls.begin(UPDATE)
    late = calls.begin(BY_ALICE)
    calls.end(calls.begin(BY_BOB), VERSION_2)
    calls.end(late, VERSION_1)
    calls.end(updating, DONE)

    calls.history.check()

    calls = Overlapping(IS_THERE, (SHARE, DONE))
    updating = calls.begin(UPDATE)
    calls.end(calls.begin(BY_BOB), VERSION_2)
    calls.end(calls.begin(BY_ALICE), VERSION_1)
    calls.end(updating, DONE)

    assert calls.history.violations()


def test_what_a_list_tells_is_known_from_the_beginning_of_the_call() -> None:
    history = history_of(IS_THERE, (SHARE, DONE))
    begun = history.moment()
    history.end(history.begin("alice", UNSHARE), DONE)
    listed: Json = {"id": ID, "snippet": FIRST}

    history.note("bob", BY_BOB, ok(**listed), begun)
    history.check()

    history.note("bob", BY_BOB, ok(**listed), history.moment())
    assert history.violations()


def test_objects_are_apart_and_each_violation_is_told_with_what_came_before() -> None:
    other: Change = create("other")
    history = history_of(IS_THERE, (other, ok(id="0190-9")), (SHARE, DONE), (BY_EVE, VERSION_1))

    (told,) = history.violations()

    assert told.startswith("note: ")
    assert "diary_share with bob" in told
    assert "0190-9" not in told
    with pytest.raises(AssertionError, match="1 objects"):
        history.check()
