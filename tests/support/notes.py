"""Notes: a model of an entry, as a register of versions and a set of shares; and the calls that
write and read it, each with what it may be answered.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from support.clients import Answer, Json
from support.ground_truth import ask

REFUSALS = frozenset({"not_found", "conflict"})


@dataclass(frozen=True)
class Note:
    """One state of a note."""

    version: int = 1
    content: str = ""
    grantees: frozenset[str] = frozenset()
    entry_id: str = ""
    """Empty where nobody was told it yet."""


State = Note | None
"""`None`: there is no such note."""


@dataclass(frozen=True)
class Change:
    """A tool call of the owner's on the note of this name, and where it leads from each state."""

    key: str
    tool: str
    arguments: Json = field(repr=False)
    lead: Callable[[State], Sequence[State]] = field(repr=False, compare=False)
    """The state after; none where the call has to be refused. Equal calls lead to the same."""

    told: str = ""

    def __str__(self) -> str:
        return f"{self.tool} {self.told}"

    def explain(self, state: State, answer: Answer | None, /) -> Sequence[State]:
        after = self.lead(state)
        if answer is None:
            return after
        if answer.code == "ok":
            return [known for each in after for known in _with_id(each, _id_in(answer.data))]
        return [] if after or answer.code not in REFUSALS else [state]


@dataclass(frozen=True)
class Reading:
    """Somebody reads the note: its owner, who always can, or another, who may not yet.

    A share is granted once the permission backend has it. So `not_found` tells nothing of a share,
    and an answer tells that there is one.
    """

    key: str
    reader: str
    owner: str

    def explain(self, state: State, answer: Answer | None, /) -> Sequence[State]:
        is_owner = self.reader == self.owner
        if answer is None:
            return []
        if answer.code == "not_found":
            return [] if is_owner and state is not None else [state]
        if answer.code != "ok" or state is None:
            return []
        if not is_owner and self.reader not in state.grantees:
            return []
        data = answer.data
        text = data.get("content", data.get("snippet"))
        is_same = (data.get("version", 1), text) == (state.version, state.content)
        return _with_id(state, _id_in(data)) if is_same else []


@dataclass(frozen=True)
class Found:
    """What the rows say of the note, whoever may read it."""

    key: str
    note: State

    def explain(self, state: State, _answer: Answer | None, /) -> Sequence[State]:
        if self.note is None or state is None:
            return [state] if self.note is state else []
        is_same = replace(self.note, entry_id=state.entry_id) == state
        return _with_id(state, self.note.entry_id) if is_same else []


def name_in(content: str) -> str:
    """Of which note this is the content."""
    return content.partition(",")[0]


def create(name: str, *, keyed: bool = True) -> Change:
    content = f"{name}, as it was first."
    made = Note(content=content)

    def lead(state: State) -> Sequence[State]:
        if state is None:
            return [made]
        return [state] if replace(state, entry_id="") == made else []

    arguments: Json = {"content": content, "idempotency_key": name}
    return Change(name, "diary_create", arguments | ({"key": name} if keyed else {}), lead)


def share(name: str, reference: str, grantee: str) -> Change:
    def lead(state: State) -> Sequence[State]:
        return [replace(state, grantees=state.grantees | {grantee})] if state else []

    arguments: Json = {"entry_id": reference, "with": grantee}
    return Change(name, "diary_share", arguments, lead, f"with {grantee}")


def unshare(name: str, reference: str, grantee: str) -> Change:
    def lead(state: State) -> Sequence[State]:
        if state is None or grantee not in state.grantees:
            return []
        return [replace(state, grantees=state.grantees - {grantee})]

    arguments: Json = {"entry_id": reference, "with": grantee}
    return Change(name, "diary_unshare", arguments, lead, f"with {grantee}")


def update(name: str, reference: str, version: int) -> Change:
    content = f"{name}, as it was in version {version + 1}."

    def lead(state: State) -> Sequence[State]:
        if state is None or state.version != version:
            return []
        return [replace(state, version=version + 1, content=content)]

    arguments: Json = {"entry_id": reference, "expected_version": version, "content": content}
    return Change(name, "diary_update", arguments, lead, f"of version {version}")


def delete(name: str, reference: str) -> Change:
    def lead(state: State) -> Sequence[State]:
        return [] if state is None else [None]

    return Change(name, "diary_delete", {"entry_id": reference}, lead)


def read_notes(url: str, owner: str) -> list[tuple[str, Note]]:
    """An author's notes and their names, from the rows; two of one name where there are two."""
    rows = ask(
        url,
        "select id::text, version, content,"
        " array(select grantee from diary.share where entry_id = id)"
        " from diary.entry where owner = %s",
        owner,
    )
    return [
        (
            name_in(str(content)),
            Note(int(str(version)), str(content), frozenset(_texts(grantees)), str(entry_id)),
        )
        for entry_id, version, content, grantees in rows
    ]


def _texts(values: object) -> list[str]:
    assert isinstance(values, list)
    return [str(value) for value in values]  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]


def _id_in(data: Json) -> str:
    return str(data.get("id", ""))


def _with_id(state: State, entry_id: str) -> list[State]:
    """The state, with this id; nothing where the note is known to have another."""
    if state is None or not entry_id or state.entry_id == entry_id:
        return [state]
    return [] if state.entry_id else [replace(state, entry_id=entry_id)]
