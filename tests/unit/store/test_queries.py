"""What the named statements have in common."""

import re
from pathlib import Path

import pytest
from psycopg._queries import MAX_CACHED_STATEMENT_LENGTH

import diary_mcp
from diary_mcp.store.sql import load_queries, put_in_parts

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
def test_what_stands_by_itself_is_included_in_several_places(part: Path) -> None:
    texts = [path.read_text("utf-8") for path in QUERIES + PARTS]

    assert sum(text.count(f"-- include: {part.stem}\n") for text in texts) > 1


@pytest.mark.parametrize("part", PARTS, ids=[part.stem for part in PARTS])
def test_what_stands_by_itself_is_not_written_out_again(part: Path) -> None:
    written_out = [
        path.stem for path in QUERIES + PARTS if path != part and _bare(part) in _bare(path)
    ]

    assert written_out == []


@pytest.mark.parametrize("path", QUERIES + PARTS, ids=lambda path: path.stem)
def test_what_is_not_there_is_not_included(path: Path) -> None:
    included = re.findall(r"--\s*include\b:? ?(.*)", path.read_text("utf-8"), re.IGNORECASE)

    assert set(included) <= {part.stem for part in PARTS}


def test_a_part_may_include_others() -> None:
    parts = {
        "open": "-- What is open.\nnot done\nand -- include: mine\n",
        "mine": "owner = %(me)s\n",
    }

    put_in = put_in_parts("where\n    -- include: open\nlimit 1", parts.__getitem__)

    assert " ".join(put_in.split()) == "where -- What is open. not done and owner = %(me)s limit 1"


def test_a_part_that_includes_itself_is_refused() -> None:
    parts = {"open": "-- include: mine", "mine": "not -- include: open"}

    with pytest.raises(ValueError, match="open > mine > open"):
        put_in_parts("-- include: open", parts.__getitem__)


def _bare(path: Path) -> str:
    lines = map(str.strip, path.read_text("utf-8").splitlines())
    return "\n".join(line for line in lines if line and not line.startswith("-- "))
