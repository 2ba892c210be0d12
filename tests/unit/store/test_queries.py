"""What the named statements have in common."""

import re
from pathlib import Path

import pytest
from psycopg._queries import MAX_CACHED_STATEMENT_LENGTH

import diary_mcp
from diary_mcp.store.sql import load_queries

QUERIES = sorted((Path(diary_mcp.__file__).parent / "store" / "queries").glob("*.sql"))
PARTS = sorted((Path(diary_mcp.__file__).parent / "store" / "queries" / "parts").glob("*.sql"))
SAID_HERE = re.compile(r"expires_at is null|\bs(hare)?\.expires_at\s*>\s*clock")


@pytest.mark.parametrize("path", QUERIES + PARTS, ids=lambda path: path.stem)
def test_when_a_share_is_active_is_said_by_the_view_alone(path: Path) -> None:
    assert SAID_HERE.search(path.read_text("utf-8")) is None


@pytest.mark.parametrize("path", QUERIES, ids=[path.stem for path in QUERIES])
def test_psycopg_need_not_take_a_statement_apart_for_each_call(path: Path) -> None:
    longest = max(map(len, load_queries(path.stem).values()))
    assert longest <= MAX_CACHED_STATEMENT_LENGTH


@pytest.mark.parametrize("part", PARTS, ids=[part.stem for part in PARTS])
def test_what_stands_by_itself_is_in_several_statements(part: Path) -> None:
    statements = [sql for path in QUERIES for sql in load_queries(path.stem).values()]
    lines = part.read_text("utf-8").splitlines()
    included = "\n".join(line.strip() for line in lines if not line.startswith("--"))

    assert sum(included in statement for statement in statements) > 1
