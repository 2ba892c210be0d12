"""TOML front matter, between two `+++` lines, taken apart so that one key can be changed.

Source: TOML 1.0; Hugo and Zola write it.
"""

import json
import tomllib
from collections.abc import Generator
from datetime import date, datetime, time

from diary_mcp.domain.errors import InvalidArgumentError

_MAX_TRIES = 200


def read_statements(lines: str) -> Generator[tuple[str | None, object, str]]:
    """Each top-level key with its value and its text; the lines that have none, without a name.

    The texts add up to `lines`. Tables, which come last, are one piece.

    Raises:
        InvalidArgumentError: it is not TOML.
    """
    parse_toml(lines)
    statement, tries = "", 0
    remaining = lines.splitlines(keepends=True)
    for number, line in enumerate(remaining):
        begins = line.lstrip()
        if not statement and begins.startswith("["):
            yield None, None, "".join(remaining[number:])
            return
        if not statement and (not begins.strip() or begins.startswith("#")):
            yield None, None, line
            continue
        statement += line
        tries += 1
        if tries > _MAX_TRIES:
            raise InvalidArgumentError(
                "the front matter has a value of too many lines; shorten it."
            )
        try:
            ((name, value),) = tomllib.loads(statement).items()
        except tomllib.TOMLDecodeError:
            continue
        yield name, value, statement
        statement, tries = "", 0


def parse_toml(lines: str) -> dict[str, object]:
    """Raises: InvalidArgumentError: it is not TOML."""
    try:
        return tomllib.loads(lines)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise InvalidArgumentError(
            f"the front matter between `+++` lines is not TOML: {error}. Correct it."
        ) from error


def text_of(value: object) -> str | None:
    """A scalar as text, the empty string as nothing.

    Raises:
        TypeError: it is no scalar.
    """
    match value:
        case str():
            return value or None
        case bool():
            return str(value).lower()
        case int() | float():
            return str(value)
        case datetime() | date() | time():
            return value.isoformat()
        case _:
            raise TypeError


def write_toml(value: str | float | tuple[str, ...] | None) -> str:
    """The value on one line; TOML has no null, and the empty string stands for it."""
    match value:
        case None:
            return '""'
        case str():
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
        case tuple():
            return f"[{', '.join(map(write_toml, value))}]"
        case _:
            return repr(value)
