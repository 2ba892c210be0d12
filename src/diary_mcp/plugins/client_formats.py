"""The formats of the clients' files: what changes is what is asked for, to the letter."""

import json
import re
import tomllib
from collections.abc import Callable, MutableMapping
from contextlib import suppress
from copy import deepcopy
from pathlib import Path
from typing import cast

from pydantic import JsonValue

from diary_mcp.domain.errors import InvalidArgumentError
from diary_mcp.plugins import jsonc

Object = dict[str, JsonValue]
Edit = Callable[[Object], None]

SERVER = "diary"
TOML_SECTION = "mcp_servers"

# Windows editors begin a file with it.
_BYTE_ORDER_MARK = "\ufeff"
_OUR_TABLE = re.compile(
    r"""\[\s*(?:mcp_servers|"mcp_servers"|'mcp_servers')\s*\.\s*(?:diary|"diary"|'diary')\s*[\].]"""
)


def edited_text(text: str, edit: Edit, path: Path) -> str:
    """The text of a file, so that it says what `edit` makes of what it says.

    In TOML, `edit` may change our server alone.

    Raises:
        InvalidArgumentError: the text cannot be understood, or not be changed.
    """
    mark = _BYTE_ORDER_MARK if text.startswith(_BYTE_ORDER_MARK) else ""
    edited = _edit_toml if path.suffix == ".toml" else _edit_json
    return mark + edited(text.removeprefix(mark), edit, path)


def to_toml(whole: Object) -> str:
    import tomlkit  # noqa: PLC0415  # one client's

    return tomlkit.dumps(whole)


def _edit_json(text: str, edit: Edit, path: Path) -> str:
    text = text if text.strip() else "{}\n"
    try:
        whole = jsonc.parse(text)
        if not isinstance(whole, dict):
            raise InvalidArgumentError(f"{path} holds no JSON object, and was left as it is.")
        wanted = deepcopy(whole)
        edit(wanted)
        return jsonc.update(text, wanted)
    except jsonc.JsoncError as error:
        raise InvalidArgumentError(
            f"{path} is not JSON, and was left as it is: {error}. Correct it and try again."
        ) from error


def _edit_toml(text: str, edit: Edit, path: Path) -> str:
    """Changes our server alone: comments, order and all else stay as they are."""
    try:
        whole: Object = tomllib.loads(text)
    except ValueError as error:
        raise InvalidArgumentError(
            f"{path} is not TOML, and was left as it is: {error}. Correct it and try again."
        ) from error
    wanted = deepcopy(whole)
    edit(wanted)
    if wanted == whole:
        return text
    server = _servers(wanted).get(SERVER)
    for change in (_with_table, _with_tomlkit):
        with suppress(ValueError):
            changed = change(text, server)
            if _meaning(tomllib.loads(changed)) == _meaning(wanted):
                return changed
    raise InvalidArgumentError(
        f"{path} was left as it is: nothing can be put into its {TOML_SECTION} safely. Add by "
        "hand what `diary-mcp config codex` prints."
    )


def _with_table(text: str, server: JsonValue) -> str:
    """Our table at the end, or nowhere. What is within a string may look like it: to be checked."""
    newline = "\r\n" if "\r\n" in text else "\n"
    left = _without_table(text)
    if server is None:
        return left
    end = newline if left and not left.endswith("\n") else ""
    apart = newline if left else ""
    table = to_toml({TOML_SECTION: {SERVER: server}}).replace("\n", newline)
    return f"{left}{end}{apart}{table}"


def _without_table(text: str) -> str:
    kept: list[str] = []
    behind: list[str] = []
    is_ours = False
    for line in text.splitlines(keepends=True):
        told = line.strip()
        if told.startswith("["):
            was_ours, is_ours = is_ours, bool(_OUR_TABLE.match(told))
            if is_ours and not was_ours and kept and not kept[-1].strip():
                kept.pop()
        if not is_ours:
            kept += [*behind, line]
            behind = []
        elif told and not told.startswith("#"):
            behind = []
        else:
            behind.append(line)
    return "".join(kept + behind)


def _with_tomlkit(text: str, server: JsonValue) -> str:
    """Where the servers stand in one value, no table can be added."""
    import tomlkit  # noqa: PLC0415  # one client's, and seldom needed

    document = tomlkit.parse(text)
    if TOML_SECTION in document:
        servers = cast("MutableMapping[str, object]", document[TOML_SECTION])
        if server is None:
            del servers[SERVER]
        else:
            servers[SERVER] = server
    return tomlkit.dumps(document)


def _meaning(whole: Object) -> str:
    """What is the same in two documents that say the same, NaN and dates included."""
    told = {name: value for name, value in whole.items() if name != TOML_SECTION or value}
    return json.dumps(told, sort_keys=True, default=repr)


def _servers(whole: Object) -> Object:
    servers = whole.get(TOML_SECTION, {})
    return servers if isinstance(servers, dict) else {}
