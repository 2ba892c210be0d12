"""Named SQL: every statement stands in `store/queries/*.sql` under a `-- name: x` line.

What several statements have in common stands in `store/queries/parts/x.sql`, and where it belongs
in each of them, at the end of a line, `-- include: x`. A part may include others.
"""

import re
from collections.abc import Callable, Mapping
from importlib.resources import files
from types import MappingProxyType
from typing import LiteralString, cast

_QUERIES = files("diary_mcp.store") / "queries"
_NAME_LINE = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)
_INCLUDE = re.compile(r"-- include: (\w+)$", re.MULTILINE)


def load_queries(table: str) -> Mapping[str, LiteralString]:
    """The statements of `store/queries/{table}.sql` by name.

    The files ship with the package and hold no user input, which is what psycopg asks of a
    `LiteralString`. What a statement says to its reader is left out: psycopg takes a statement
    apart once, but for each call where it is longer than 4,096 characters.
    """
    _, *named = _NAME_LINE.split(put_in_parts(_read(table), _read_part))
    statements = zip(named[::2], named[1::2], strict=True)
    return MappingProxyType({name: cast("LiteralString", _bare(sql)) for name, sql in statements})


def put_in_parts(sql: str, read_part: Callable[[str], str], *within: str) -> str:
    """`sql` with all that it includes, and what that includes in turn, within other parts or none.

    Raises:
        ValueError: A part includes itself.
    """

    def put_in(include: re.Match[str]) -> str:
        part = include[1]
        if part in within:
            raise ValueError(f"A part includes itself: {' > '.join((*within, part))}")
        return "\n" + put_in_parts(read_part(part), read_part, *within, part)

    return _INCLUDE.sub(put_in, sql)


def _read_part(name: str) -> str:
    return _read(f"parts/{name}")


def _read(name: str) -> str:
    return (_QUERIES / f"{name}.sql").read_text("utf-8")


def _bare(sql: str) -> str:
    lines = map(str.strip, sql.splitlines())
    return "\n".join(line for line in lines if line and not line.startswith("--"))
