"""Failures inside PostgreSQL, between the first statement of a mutation and its commit."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Literal, get_args

import psycopg

from support.ground_truth import Row, ask

Failure = Literal[
    "the workflow's row fails",
    "the workflow's input fails",
    "the connection is lost at the enqueue",
    "the enqueue function is gone",
    "the commit fails",
    "the connection is lost at the commit",
]
FAILURES: tuple[Failure, ...] = get_args(Failure)

_FUNCTIONS = """\
create or replace function public.fail() returns trigger language plpgsql as
$$ begin raise exception 'made to fail'; end $$;
create or replace function public.vanish() returns trigger language plpgsql as
$$ begin perform pg_terminate_backend(pg_backend_pid()); return new; end $$;
"""
_CAUSES: dict[Failure, str] = {
    "the workflow's row fails": (
        "create trigger failure before insert on dbos.workflow_status"
        " for each row when (new.queue_name in ('permissions', 'diaries'))"
        " execute function public.fail()"
    ),
    "the workflow's input fails": (
        "create trigger failure before insert on dbos.workflow_input"
        " for each row when (new.workflow_uuid like '%:%') execute function public.fail()"
    ),
    "the connection is lost at the enqueue": (
        "create trigger failure before insert on dbos.workflow_status"
        " for each row when (new.queue_name in ('permissions', 'diaries'))"
        " execute function public.vanish()"
    ),
    "the enqueue function is gone": "alter routine dbos.enqueue_workflow rename to gone",
    "the commit fails": (
        "create constraint trigger failure after insert on dbos.workflow_status"
        " deferrable initially deferred"
        " for each row when (new.queue_name in ('permissions', 'diaries'))"
        " execute function public.fail()"
    ),
    "the connection is lost at the commit": (
        "create constraint trigger failure after insert on dbos.workflow_status"
        " deferrable initially deferred"
        " for each row when (new.queue_name in ('permissions', 'diaries'))"
        " execute function public.vanish()"
    ),
}
_CURES: dict[Failure, str] = {
    "the workflow's input fails": "drop trigger failure on dbos.workflow_input",
    "the enqueue function is gone": "alter routine dbos.gone rename to enqueue_workflow",
}
_CURE = "drop trigger failure on dbos.workflow_status"
# Everything that a mutation could leave behind. What else is on DBOS's queues comes and goes.
_QUERIES = {
    "diary.entry": "select id, version, content, diary_id from diary.entry order by id",
    "diary.entry_version": "select t::text from diary.entry_version as t order by 1",
    "diary.entry_permission": "select t::text from diary.entry_permission as t order by 1",
    "diary.share": "select t::text from diary.share as t order by 1",
    "diary.diary": "select t::text from diary.diary as t order by 1",
    "diary.diary_permission": "select t::text from diary.diary_permission as t order by 1",
    "diary.diary_role": "select t::text from diary.diary_role as t order by 1",
    "diary.removal": "select t::text from diary.removal as t order by 1",
    "diary.agent": "select name from diary.agent order by 1",
    "diary.agent_group": "select name from diary.agent_group order by 1",
    "diary.create_request": "select t::text from diary.create_request as t order by 1",
    "diary.audit_event": "select t::text from diary.audit_event as t order by 1",
    "dbos.workflow_status": (
        "select t::text from dbos.workflow_status as t"
        " where queue_name in ('permissions', 'diaries') order by 1"
    ),
    "dbos.workflow_input": (
        "select t::text from dbos.workflow_input as t where workflow_uuid like '%:%' order by 1"
    ),
}


@contextmanager
def failing(url: str, failure: Failure) -> Generator[None]:
    """Makes every mutation fail in this way, until the block ends."""
    ask(url, _FUNCTIONS)
    ask(url, _CAUSES[failure])
    try:
        yield
    finally:
        ask(url, _CURES.get(failure, _CURE))


def read_everything(url: str) -> dict[str, list[Row]]:
    """Every row that a mutation could add, change or remove."""
    with psycopg.connect(url) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        return {
            table: connection.execute(query.encode()).fetchall()
            for table, query in _QUERIES.items()
        }
