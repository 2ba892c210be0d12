"""Tokens for one diary: whoever signs in with one reaches what is in it, and nothing else.

What a call names is looked at before anything is done; what it does not name is about the current
diary, which is the token's. Of anything else the answer does not tell whether it exists.
"""

from collections.abc import Sequence

from pydantic import BaseModel, TypeAdapter

from diary_mcp.domain.diaries import DiaryName, parse_diary_name
from diary_mcp.domain.errors import ForbiddenError, InvalidArgumentError
from diary_mcp.server.caller import Caller
from diary_mcp.service.diary import Diary
from diary_mcp.service.entries.access import not_found
from diary_mcp.service.ports.entries import Place

_REFERENCES = TypeAdapter(Sequence[str])


async def require_reach(diary: Diary, caller: Caller, arguments: BaseModel) -> None:
    """Makes sure that a tool is asked for nothing that a token for one diary does not reach.

    Raises:
        ForbiddenError: it names another diary, or is about more than one.
        NotFoundError: it names an entry that is not in the diary, or that is not there.
    """
    for name, value in arguments:
        if name in {"diary", "open"} and value is not None:
            _require_diary(caller, str(value))
        elif name in {"admit", "revoke"} and value is not None:
            raise _out_of_reach(caller, f"{name} a key")
        elif name == "entry_id" and value is not None:
            await require_within(diary, caller, str(value))
        elif name == "supersedes" and value is not None:
            for reference in _REFERENCES.validate_python(value):
                await require_within(diary, caller, reference)


async def require_within(diary: Diary, caller: Caller, reference: str) -> None:
    """Makes sure that an entry is in the diary that the caller's token is for.

    Raises:
        NotFoundError: it is not, or there is none that the caller may read.
    """
    if caller.only is None:
        return
    entry = await diary.entries.get(caller.agent, reference)
    if entry.diary is None or entry.diary.id != caller.only.id:
        raise not_found(reference)


def require_everything(caller: Caller, what: str) -> None:
    """Makes sure that the caller's token is not for one diary.

    Raises:
        ForbiddenError: it is.
    """
    if caller.only is not None:
        raise _out_of_reach(caller, what)


def place_of(caller: Caller) -> Place | None:
    """The diary that the caller's token is for."""
    only = caller.only
    return None if only is None else Place(only.owner, only.name, only.id)


def _require_diary(caller: Caller, text: str) -> None:
    try:
        name = parse_diary_name(text, caller.agent)
    except InvalidArgumentError as error:
        raise _out_of_reach(caller, text) from error
    if caller.only is None or name != DiaryName(caller.only.owner, caller.only.name):
        raise _out_of_reach(caller, text)


def _out_of_reach(caller: Caller, what: str) -> ForbiddenError:
    return ForbiddenError(
        f"Your token is for the diary {caller.diary} alone, and does not reach {what}. Leave that "
        "out, or ask the operator for another token."
    )
