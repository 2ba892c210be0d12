"""The pages that do: write, correct, edit, delete, share and unshare.

Each does what a tool does, with its limits and errors. What was typed is never lost: where it is
refused, the form comes back with it and says why.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import uuid4

import anyio.to_thread
from pydantic import ValidationError
from starlette.responses import Response

from diary_mcp.domain.diaries import EVERYTHING, MAIN
from diary_mcp.domain.entry import Entry
from diary_mcp.domain.errors import ConflictError, DiaryError
from diary_mcp.domain.fields import ENTRY_TYPES, Grantee
from diary_mcp.domain.version import EntryVersion
from diary_mcp.server.tools.arguments import (
    CreateArguments,
    ShareArguments,
    UnshareArguments,
    UpdateArguments,
)
from diary_mcp.service.diary import Diary
from diary_mcp.service.entries.versions import as_version
from diary_mcp.web.comparison import Line, compare
from diary_mcp.web.page_requests import Refusal, Visit, told
from diary_mcp.web.reading import (
    lies_in,
    list_all_shares,
    list_writable,
    number,
    show_entry,
)

_DEFAULT_IMPORTANCE = "0.5"


async def write(visit: Visit) -> Response:
    """An empty form, or one for a correction of the entry that the address names."""
    reference = visit.query("supersedes").get("supersedes")
    if reference is None:
        return await _show_draft(visit, {"type": "note"}, None)
    corrected = await _get(visit, reference)
    given = {
        "type": "correction",
        "title": corrected.title or "",
        "tags": "\n".join(corrected.tags),
        "supersedes": str(corrected.id),
        "diary": lies_in(corrected, visit.caller.agent) or MAIN,
    }
    return await _show_draft(visit, given, corrected)


async def write_entry(visit: Visit) -> Response:
    """Adds the entry of the form."""
    given = await visit.form()
    try:
        asked = CreateArguments.model_validate(
            {
                "content": _text(given.get("content", "")),
                "title": given.get("title", "").strip() or None,
                "type": given.get("type", "note"),
                "tags": _tags(given),
                "importance": _importance(given),
                "supersedes": given.get("supersedes") or [],
                "key": given.get("key", "").strip() or None,
                "diary": given.get("diary") or None,
                "idempotency_key": given.get("once") or None,
                "allow_secret": "allow_secret" in given,
            }
        )
        written = await visit.ask(
            "diary:write",
            "Writing an entry",
            lambda diary: diary.entries.create(
                visit.caller.agent,
                asked.draft,
                idempotency_key=asked.idempotency_key,
                session=visit.caller.session,
                current=visit.caller.diary,
                allow_secret=asked.allow_secret,
            ),
        )
    except Refusal as error:
        reference = given.get("supersedes")
        corrected = await _get(visit, reference) if reference else None
        return await _show_draft(visit, given, corrected, error)
    return visit.go(f"/entries/{written.id}", done="written")


async def edit(visit: Visit) -> Response:
    """A form with what the entry says now."""
    return _show_edited(visit, await _get_own(visit))


async def save(visit: Visit) -> Response:
    """Makes the next version of what the form says.

    What was changed is told from the version that the form was made of; where that is not the
    present one any more, the form comes back with what is different now.
    """
    given = await visit.form()
    agent, reference = visit.caller.agent, _reference(visit)
    expected = number(given.get("expected_version"), 1)

    async def change(diary: Diary) -> Entry:
        base = await diary.history.get_version(agent, reference, expected)
        asked = UpdateArguments.model_validate(
            {"entry_id": reference, "expected_version": expected, **_changed(given, base)}
        )
        return await diary.entries.update(agent, reference, expected, asked.changes)

    try:
        saved = await visit.ask("diary:write", "Changing an entry", change)
    except Refusal as error:
        return await _show_refused(visit, given, expected, error)
    return visit.go(f"/entries/{saved.id}", done="saved")


async def ask_to_delete(visit: Visit) -> Response:
    """What goes with the entry, before it goes."""
    return await _show_deletion(visit)


async def delete(visit: Visit) -> Response:
    """Removes the entry for good."""
    await visit.form()
    await visit.ask(
        "diary:write",
        "Deleting an entry",
        lambda diary: diary.entries.delete(visit.caller.agent, _reference(visit)),
    )
    return visit.go("/", done="deleted")


async def share(visit: Visit) -> Response:
    """Lets an agent or a group read the entry."""
    given = await visit.form()
    try:
        asked = ShareArguments.model_validate(
            {
                "entry_id": _reference(visit),
                "with": given.get("with", "").strip(),
                "expires_at": given.get("expires_at") or None,
                "note": _text(given.get("note", "")) or None,
            }
        )
        shared = await visit.ask(
            "diary:share",
            "Sharing an entry",
            lambda diary: diary.sharing.share(
                visit.caller.agent,
                _reference(visit),
                Grantee(asked.grantee),
                expires_at=asked.expires_at,
                note=asked.note,
            ),
        )
    except Refusal as error:
        return await show_entry(visit, error=error, given=given)
    return visit.go(f"/entries/{shared.entry_id}", done="shared")


async def unshare(visit: Visit) -> Response:
    """Takes a share back."""
    given = await visit.form()
    try:
        asked = UnshareArguments.model_validate(
            {"entry_id": _reference(visit), "with": given.get("with", "")}
        )
        entry_id = await visit.ask(
            "diary:share",
            "Ending a share",
            lambda diary: diary.sharing.unshare(
                visit.caller.agent, _reference(visit), Grantee(asked.grantee)
            ),
        )
    except Refusal as error:
        return await show_entry(visit, error=error)
    return visit.go(f"/entries/{entry_id}", done="unshared")


@dataclass(frozen=True)
class _Conflict:
    """What somebody else changed while the form was open."""

    version: int
    lines: list[Line]


async def _show_draft(
    visit: Visit,
    given: Mapping[str, str],
    corrected: Entry | None,
    error: DiaryError | ValidationError | None = None,
) -> Response:
    status, problem = (200, None) if error is None else told(error)
    place = visit.place
    shown = {
        "importance": _DEFAULT_IMPORTANCE,
        "once": str(uuid4()),
        "diary": MAIN if place in {None, EVERYTHING} else place,
        **given,
    }
    return visit.show(
        "write.html",
        status,
        given=shown,
        diaries=await visit.read(lambda diary: list_writable(diary, visit.caller)),
        corrected=corrected,
        types=ENTRY_TYPES,
        problem=problem,
    )


def _show_edited(
    visit: Visit,
    entry: Entry,
    given: Mapping[str, str] | None = None,
    *,
    refused: tuple[int, str | None] = (200, None),
    conflict: _Conflict | None = None,
) -> Response:
    status, problem = refused
    shown = _fields(as_version(entry)) if given is None else given
    return visit.show(
        "edit.html",
        status,
        entry=entry,
        given={**shown, "expected_version": str(entry.version)},
        types=ENTRY_TYPES,
        problem=problem,
        conflict=conflict,
    )


async def _show_refused(
    visit: Visit, given: Mapping[str, str], expected: int, error: DiaryError | ValidationError
) -> Response:
    entry = await _get_own(visit)
    if not isinstance(error, ConflictError):
        # The form goes on from the version that it was made of.
        entry = entry.model_copy(update={"version": min(expected, entry.version)})
        return _show_edited(visit, entry, given, refused=told(error))
    base = await visit.read(
        lambda diary: diary.history.get_version(visit.caller.agent, str(entry.id), expected)
    )
    lines = await anyio.to_thread.run_sync(compare, base.content, entry.content)
    conflict = _Conflict(entry.version, lines)
    return _show_edited(visit, entry, given, refused=told(error), conflict=conflict)


async def _show_deletion(visit: Visit) -> Response:
    entry = await _get_own(visit)
    agent = visit.caller.agent

    async def look(diary: Diary) -> Response:
        return visit.show(
            "delete.html",
            entry=entry,
            earlier=(await diary.history.list_versions(agent, str(entry.id))).earlier,
            shares=await list_all_shares(diary, agent, entry),
        )

    return await visit.read(look)


async def _get(visit: Visit, reference: str) -> Entry:
    return await visit.read(lambda diary: diary.entries.get(visit.caller.agent, reference))


async def _get_own(visit: Visit) -> Entry:
    """The entry of the address, which only its owner may change."""
    history = await visit.read(
        lambda diary: diary.history.list_versions(visit.caller.agent, _reference(visit))
    )
    return history.entry


def _reference(visit: Visit) -> str:
    reference: str = visit.request.path_params["entry_id"]
    return reference


def _fields(version: EntryVersion) -> dict[str, str]:
    """A version as the fields of a form."""
    return {
        "title": version.title or "",
        "content": version.content,
        "type": version.type,
        "tags": "\n".join(version.tags),
        "importance": str(version.importance),
    }


def _changed(given: Mapping[str, str], base: EntryVersion) -> dict[str, object]:
    """The fields of the form that do not say what the version says; what is not there is not."""
    shown = {name: _text(value) for name, value in _fields(base).items()}
    typed = {name: _text(given[name]) for name in shown if name in given}
    different = {name for name, text in typed.items() if text != shown[name]}
    values: dict[str, object] = {
        **typed,
        "title": typed.get("title") or None,
        "content": _with_ends_of(base.content, typed.get("content", "")),
        "tags": _tags(given),
        "importance": _importance(given),
    }
    return {name: value for name, value in values.items() if name in different}


def _text(typed: str) -> str:
    """What was typed, as lines end in a diary; browsers send every end of a line as CR LF."""
    return typed.replace("\r\n", "\n").replace("\r", "\n")


def _with_ends_of(before: str, text: str) -> str:
    return text.replace("\n", "\r\n") if "\r\n" in before else text


def _tags(given: Mapping[str, str]) -> list[str]:
    lines = _text(given.get("tags", "")).split("\n")
    return [line.strip() for line in lines if line.strip()]


def _importance(given: Mapping[str, str]) -> float | str:
    text = given.get("importance", "").strip() or _DEFAULT_IMPORTANCE
    try:
        return float(text)
    except ValueError:
        return text
