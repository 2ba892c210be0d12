"""Places where PostgreSQL stops whoever comes along, until a test lets it go on.

Triggers that wait for an advisory lock, in the test's own database: the code under test knows
nothing of them. A point that no test holds lets everybody pass. Only the work on permissions is
stopped; its workflows are told by their ids, which have colons.
"""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import psycopg

from support.ground_truth import Row, ask, eventually

TransactionPoint = Literal[
    "after begin", "after the rows", "after the enqueue", "before the commit"
]
StepPoint = Literal[
    "before the tuples",
    "after the tuples",
    "after the tuples' commit",
    "before the checkpoint",
    "before the end",
]
StopPoint = TransactionPoint | StepPoint

_SETUP = """\
create schema stop;

create function stop.here() returns trigger language plpgsql as $$
begin
    perform pg_advisory_xact_lock_shared(hashtextextended('stop ' || tg_argv[0], 0));
    return coalesce(new, old);
end $$;

-- Nothing is written yet. A new entry has no row whose change could be told from a settling's.
create trigger stop_1 before insert on diary.entry
for each statement execute function stop.here('after begin');
create trigger stop_1 before update on diary.entry_permission
for each row when (old.generation <> new.generation) execute function stop.here('after begin');

create trigger stop_2 after insert or delete on diary.entry
for each row execute function stop.here('after the rows');
create trigger stop_2 after insert or delete on diary.share
for each row execute function stop.here('after the rows');
create trigger stop_1 before insert on diary.diary
for each statement execute function stop.here('after begin');
create trigger stop_1 before update on diary.diary_permission
for each row when (old.generation <> new.generation) execute function stop.here('after begin');
create trigger stop_2 after insert or delete on diary.diary
for each row execute function stop.here('after the rows');
create trigger stop_2 after insert or delete on diary.diary_role
for each row execute function stop.here('after the rows');
create trigger stop_2_moved after update of diary_id on diary.entry
for each row execute function stop.here('after the rows');
create trigger stop_7 before update on diary.diary_permission
for each row when (old.applied_generation <> new.applied_generation)
execute function stop.here('after the tuples'' commit');

create trigger stop_3 after insert on dbos.workflow_input
for each row when (new.workflow_uuid like '%:%') execute function stop.here('after the enqueue');

create constraint trigger stop_4 after insert on dbos.workflow_status
deferrable initially deferred
for each row when (new.queue_name in ('permissions', 'diaries'))
execute function stop.here('before the commit');

create trigger stop_5 before insert or delete on diary.relation_tuple
for each statement execute function stop.here('before the tuples');
create trigger stop_6 after insert or delete on diary.relation_tuple
for each statement execute function stop.here('after the tuples');
create trigger stop_7 before update on diary.entry_permission
for each row when (old.applied_generation <> new.applied_generation)
execute function stop.here('after the tuples'' commit');

create trigger stop_8 before insert on dbos.operation_outputs
for each row when (new.workflow_uuid like '%:%')
execute function stop.here('before the checkpoint');
create trigger stop_9 before update on dbos.workflow_status
for each row
when (new.queue_name in ('permissions', 'diaries')
    and old.status <> 'SUCCESS' and new.status = 'SUCCESS')
execute function stop.here('before the end');
"""
_WAITING = """\
select pid from pg_locks
where locktype = 'advisory' and not granted and mode = 'ShareLock'
and database = (select oid from pg_database where datname = current_database())
"""


@dataclass(frozen=True)
class Held:
    """A point at which nobody passes."""

    url: str
    _connection: psycopg.Connection[Row]

    def wait_for_arrival(self) -> int:
        """Returns once somebody is stopped; gives the pid of its server process."""
        return self.wait_for_arrivals(1)[0]

    def wait_for_arrivals(self, number: int) -> list[int]:
        """Returns once so many are stopped; gives the pids of their server processes."""
        arrived: list[int] = []

        def have_arrived() -> bool:
            arrived[:] = self._waiting()
            return len(arrived) >= number

        eventually(have_arrived, within_s=60)
        return arrived

    def let_go(self) -> None:
        """Lets everybody pass."""
        self._connection.execute("select pg_advisory_unlock_all()")

    def _waiting(self) -> list[int]:
        return [int(str(pid)) for (pid,) in ask(self.url, _WAITING)]


def install_stop_points(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(_SETUP.encode())


@contextmanager
def held(url: str, point: StopPoint) -> Generator[Held]:
    """Stops whoever comes to this point, until the block ends at the latest."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("select pg_advisory_lock(hashtextextended('stop ' || %s, 0))", (point,))
        yield Held(url, connection)


def is_there(url: str, pid: int) -> bool:
    """Whether this server process still lives."""
    return ask(url, "select from pg_stat_activity where pid = %s", pid) != []
