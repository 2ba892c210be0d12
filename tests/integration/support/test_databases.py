"""A database that several tests have one after another is to each as if it had been first."""

from collections.abc import Generator

import psycopg
import pytest

from support.databases import Databases
from support.ground_truth import ask

CHANGES = {
    "a function": "create function diary.left() returns int language sql as 'select 1'",
    "a trigger that is off": "alter table diary.entry disable trigger user",
    "a view that is gone": "drop view diary.active_share cascade",
    "a column": "alter table diary.agent add column left_by text",
    "a setting": (
        "do $$begin execute format('alter database %I set work_mem = 4096', current_database());"
        " end$$"
    ),
    "a right": "grant select on diary.agent to public",
    "what the planner knows": "analyze diary.agent",
}


@pytest.fixture
def lent(postgres_url: str) -> Generator[Databases]:
    databases = Databases(postgres_url)
    yield databases
    databases.drop()


def run(url: str, statement: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement.encode())


def rows(url: str) -> object:
    return [
        ask(url, "select count(*) from diary.agent"),
        ask(url, "select name from public.diary_migration order by name"),
        ask(url, "select id::text, cursor_key from diary.identity"),
        ask(url, "select nextval('diary.audit_event_id_seq')"),
    ]


def test_rows_that_were_written_changed_or_deleted_are_as_they_were(lent: Databases) -> None:
    with lent.lend() as first:
        before = rows(first)
        run(first, "insert into diary.agent (name) values ('ann')")
        run(first, "delete from public.diary_migration where name < '0003'")
        run(first, "update diary.identity set cursor_key = 'another'")

    with lent.lend() as second:
        assert second == first
        assert rows(second) == before


def test_what_is_more_than_rows_is_left_to_nobody(
    lent: Databases, subtests: pytest.Subtests
) -> None:
    for changed, statement in CHANGES.items():
        with subtests.test(changed):
            with lent.lend() as first:
                run(first, "insert into diary.agent (name) values ('ann')")
                run(first, statement)

            with lent.lend() as second:
                assert second != first


def test_who_is_still_connected_loses_the_connection(lent: Databases) -> None:
    with lent.lend() as first:
        left = psycopg.connect(first, autocommit=True)

    with left, pytest.raises(psycopg.OperationalError):
        left.execute("select")
