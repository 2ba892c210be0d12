"""Named SQL: every statement stands in `store/queries/*.sql` under a `-- name: x` line.

What several statements have in common stands in `store/queries/parts/x.sql`, and in each of them
a line `-- include: x`.
"""

import re
from collections.abc import Mapping
from importlib.resources import files
from types import MappingProxyType
from typing import LiteralString, cast

_NAME_LINE = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)
_INCLUDE_LINE = re.compile(r"^ *-- include: (\w+)$", re.MULTILINE)


def load_queries(table: str) -> Mapping[str, LiteralString]:
    """The statements of `store/queries/{table}.sql` by name.

    The files ship with the package and hold no user input, which is what psycopg asks of a
    `LiteralString`. What a statement says to its reader is left out: psycopg takes a statement
    apart once, but for each call where it is longer than 4,096 characters.
    """
    _, *parts = _NAME_LINE.split(_INCLUDE_LINE.sub(_included, _read(table)))
    statements = zip(parts[::2], parts[1::2], strict=True)
    return MappingProxyType({name: cast("LiteralString", _bare(sql)) for name, sql in statements})


def _included(line: re.Match[str]) -> str:
    return _read(f"parts/{line[1]}")


def _read(name: str) -> str:
    return files("diary_mcp.store").joinpath(f"queries/{name}.sql").read_text("utf-8")


def _bare(sql: str) -> str:
    lines = map(str.strip, sql.splitlines())
    return "\n".join(line for line in lines if line and not line.startswith("--"))
