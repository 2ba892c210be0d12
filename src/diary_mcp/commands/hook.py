"""`diary-mcp hook`: what an installed hook runs. Whatever happens, the client goes on.

The client's JSON comes on standard input, the answer goes to standard output. A status other than
0 would stop a client, or keep its model from ending: this command has no other.
"""

import json
import logging
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import MappingProxyType

import anyio
import click
from pydantic import JsonValue, TypeAdapter, ValidationError

from diary_mcp.commands.options import with_flags
from diary_mcp.domain.errors import DiaryError, InvalidArgumentError
from diary_mcp.logs import configure_logs
from diary_mcp.plugins.hook_process import (
    AFTER_ENDING,
    CLIENTS,
    ENDING,
    MAX_INPUT_BYTES,
    TOO_LONG,
    TimeLimit,
)
from diary_mcp.plugins.hook_state import HookState
from diary_mcp.postgres.cluster import has_cluster
from diary_mcp.settings import Settings, load_settings

_THERE_ARE = f"Of {' and '.join(CLIENTS)} there are SessionStart, Stop and {ENDING}."
_INPUT = TypeAdapter(dict[str, JsonValue])
_MAX_SESSION_CHARACTERS = 255
_MAX_KEY_CHARACTERS = 200
_BEGIN = (
    "The diary of this project is empty. Write with diary_create what a later session would want "
    "to know, and end with an entry of type handoff."
)
_QUESTION = (
    "This session did work and wrote nothing to the diary. If a later session would want to know "
    "of it, write one entry with diary_create: type handoff, or what fits better; what was done "
    "and why, how it was checked, and what is open.{session} If there is nothing worth keeping, "
    "just end."
)

Given = Mapping[str, JsonValue]
Flags = Mapping[str, str | Path | None]
Answer = Callable[[Given, Settings, HookState], Given | None]


class _NeverRefused(click.Command):
    """A command line that cannot be read is a failure like any other."""

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: object,
    ) -> click.Context:
        try:
            return super().make_context(info_name, args, parent, **extra)
        except click.ClickException as error:
            click.echo(f"diary-mcp: hook: {error.format_message()!a}", err=True)
            raise click.exceptions.Exit(0) from error


@click.command(cls=_NeverRefused, context_settings={"ignore_unknown_options": True})
@with_flags
@click.argument("words", metavar="CLIENT EVENT", nargs=-1, type=click.UNPROCESSED)
def hook(flags: Flags, *, words: tuple[str, ...]) -> None:
    """Answer a hook of CLIENT (claude-code, codex), whose JSON comes on standard input."""
    client, event, *others = (*words, "", "")[: max(2, len(words))]
    answer = _ANSWERS.get(event)
    if client not in CLIENTS or answer is None:
        _tell(event, f"nothing was done: there is no such hook of {client!a}. {_THERE_ARE}")
        return
    if others:
        _tell(event, f"{' '.join(others)!a} is not understood and was ignored")
    _answer(answer, event, flags, click.get_current_context().find_object(TimeLimit))


def _answer(answer: Answer, event: str, flags: Flags, limit: TimeLimit | None) -> None:
    state: HookState | None = None
    try:
        configure_logs(logging.WARNING)
        settings = load_settings(**flags)
        state = HookState(settings.data_dir)
        if limit is not None:
            limit.last_words = partial(_tell_failure, event, TOO_LONG, state)
        given = answer(_read_input(), settings, state)
        with suppress(OSError):
            state.forget_failures(event)
    except (Exception, SystemExit) as error:  # noqa: BLE001  # the client must not notice
        _tell_failure(event, _reason(error), state)
    else:
        if given is not None:
            _print(json.dumps(given))


def _read_input() -> Given:
    text = sys.stdin.buffer.read(MAX_INPUT_BYTES)
    try:
        return _INPUT.validate_json(text)
    except ValidationError as error:
        raise InvalidArgumentError("standard input holds no JSON object") from error


def _start(given: Given, settings: Settings, _state: HookState) -> Given:
    """The context of the project, and the id to write with."""
    text = _BEGIN
    if settings.database_url is not None or has_cluster(settings.data_dir):
        from diary_mcp.commands.context import load_context  # noqa: PLC0415  # imports the diary

        text = anyio.run(load_context, settings)
    told = f"{text.rstrip()}\n{_with_session(given)}".rstrip()
    return {
        "hookSpecificOutput": {"hookEventName": "SessionStart", "additionalContext": told},
    }


def _stop(given: Given, settings: Settings, state: HookState) -> Given | None:
    """Asks for an entry, at most once a session, where work was done and nothing written."""
    session, path = given.get("session_id"), given.get("transcript_path")
    if settings.hook_question == "off" or given.get("stop_hook_active") is not False:
        return None
    if not isinstance(session, str) or not isinstance(path, str):
        return None
    from diary_mcp.plugins.transcript import read_transcript  # noqa: PLC0415  # the start needs none

    work = read_transcript(Path(path))
    if not work.is_worth_remembering or work.has_written or not state.is_first_question(session):
        return None
    return {"decision": "block", "reason": _QUESTION.format(session=f" {_with_session(given)}")}


def _end(_given: Given, _settings: Settings, _state: HookState) -> None:
    """Nothing: what is to be kept, another process does, see `hook_process`."""


def _after_end(given: Given, settings: Settings, _state: HookState) -> None:
    """Writes down what the session did, where the person turned that on: nobody waits for it."""
    is_there = settings.database_url is not None or has_cluster(settings.data_dir)
    if settings.hook_progress == "off" or not is_there:
        return
    session, path, folder = (given.get(name) for name in ("session_id", "transcript_path", "cwd"))
    if not isinstance(session, str) or not isinstance(path, str) or not isinstance(folder, str):
        raise InvalidArgumentError("the end of a session names no session, transcript and folder")
    from diary_mcp.commands.session_end import keep_facts  # noqa: PLC0415  # imports the diary
    from diary_mcp.plugins.session_facts import find_facts  # noqa: PLC0415  # likewise
    from diary_mcp.plugins.transcript import read_transcript  # noqa: PLC0415  # likewise

    facts = find_facts(Path(folder), read_transcript(Path(path)))
    if facts.commits or facts.files:
        anyio.run(keep_facts, settings, session[:_MAX_KEY_CHARACTERS], facts)


def _with_session(given: Given) -> str:
    session = given.get("session_id")
    if not isinstance(session, str) or not 0 < len(session) <= _MAX_SESSION_CHARACTERS:
        return ""
    return f"Pass session {json.dumps(session)} with what you write."


_ANSWERS: Mapping[str, Answer] = MappingProxyType(
    {"SessionStart": _start, "Stop": _stop, ENDING: _end, AFTER_ENDING: _after_end}
)


def _reason(error: BaseException) -> str:
    match error:
        case DiaryError():
            return f"{error.code}: {error}"
        case SystemExit():
            return "took too long, and was ended by the client"
        case _:
            return type(error).__name__


def _tell_failure(event: str, reason: str, state: HookState | None) -> None:
    _tell(event, reason)
    with suppress(OSError):
        if state is not None:
            state.count_failure(event, reason)


def _tell(event: str, reason: str) -> None:
    with suppress(OSError, ValueError):
        click.echo(f"diary-mcp: hook {event!a}: {reason!a}", err=True)


def _print(text: str) -> None:
    with suppress(OSError, ValueError):
        click.echo(text)
