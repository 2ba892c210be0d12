"""What is true of a diary, told by rows and tuples alone, by no class of the code under test.

The promise, as a check: every entry and diary has its owner's tuple, every active share and role
its own, every entry that names a diary the one of its parent, and there is no other tuple; every
permission change that was committed has its workflow, and every workflow its committed change.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import httpx
import psycopg

from support.keto_config import KetoAddress

Row = tuple[object, ...]
Event = tuple[str, int]
"""A permission change: the entry's or diary's id, and the generation that it was raised to."""

_TUPLES = """\
select object, relation,
    coalesce(subject_id, subject_namespace || ':' || subject_object || '#' || subject_relation)
from diary.relation_tuple
where namespace in ('DiaryEntry', 'Diary')
"""
_WANTED = """\
select id::text, 'owner', owner from diary.entry
union all
select entry_id::text, 'viewer',
    case when grantee like 'group:%' then 'Group:' || substr(grantee, 7) || '#member'
    else grantee end
from diary.share
where not expired
union all
select id::text, 'parent', 'Diary:' || diary_id || '#' from diary.entry where diary_id is not null
union all
select id::text, 'owner', owner from diary.diary
union all
select diary_id::text, role,
    case when grantee like 'group:%' then 'Group:' || substr(grantee, 7) || '#member'
    else grantee end
from diary.diary_role
where not expired
"""
# One generation more for every change; the one of a deletion goes with the tombstone.
_CHANGES = """\
select permission.entry_id::text, number
from diary.entry_permission as permission, generate_series(1, permission.generation) as number
union all
select permission.diary_id::text, number
from diary.diary_permission as permission, generate_series(1, permission.generation) as number
"""
# Without those that the sweep has added: their ids have a fourth part.
_SCHEDULED = """\
select entry_id, split_part(workflow_uuid, ':', 3)::integer
from dbos.workflow_status
inner join dbos.workflow_input as input using (workflow_uuid)
cross join lateral
jsonb_array_elements_text(input.inputs::jsonb -> 'positionalArgs' -> 0) as entry_id
where queue_name in ('permissions', 'diaries') and split_part(workflow_uuid, ':', 4) = ''
"""
_UNSETTLED = """\
select entry_id::text, format('%s of %s', applied_generation, generation), changed_at::text
from diary.entry_permission where applied_generation < generation
union all
select diary_id::text, format('%s of %s', applied_generation, generation), changed_at::text
from diary.diary_permission where applied_generation < generation
union all
select grantee, 'removed', changed_at::text from diary.removal
union all
select workflow_uuid, status, format('%s since %s', executor_id, started_at_epoch_ms)
from dbos.workflow_status
where status in ('ENQUEUED', 'PENDING') and queue_name in ('permissions', 'diaries')
"""


@dataclass(frozen=True)
class Truth:
    """The rows and tuples of one moment, and what should follow from them."""

    entries: frozenset[str]
    tuples: frozenset[Row]
    wanted: frozenset[Row]
    changes: frozenset[Event]
    scheduled: frozenset[Event]
    deletions: frozenset[str]
    tombstones: frozenset[str]
    halves: frozenset[str]
    """Workflows without their input, and inputs without their workflow."""

    statuses: frozenset[str]

    def check(self) -> None:
        """Fails unless the promise holds; the diary must be settled."""
        assert self.tuples == self.wanted
        assert self.halves == frozenset()
        # Of a deleted entry nothing is left but its workflows.
        assert {event for event in self.scheduled if event[0] not in self.deletions} == self.changes
        assert self.entries == {entry_id for entry_id, _ in self.changes}
        assert self.tombstones == frozenset()
        assert self.statuses <= {"SUCCESS"}


def read_truth(url: str, keto: KetoAddress | None = None) -> Truth:
    """Everything at one moment: one transaction, one snapshot.

    With a real Keto, the tuples are those that it lists; the diary must be settled by then.
    """
    with psycopg.connect(url) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ

        def rows(query: str) -> list[Row]:
            return connection.execute(query.encode()).fetchall()

        def texts(query: str) -> frozenset[str]:
            return frozenset(str(value) for (value,) in rows(query))

        def events(query: str) -> frozenset[Event]:
            return frozenset((str(entry_id), int(str(number))) for entry_id, number in rows(query))

        return Truth(
            entries=texts("select id from diary.entry union all select id from diary.diary"),
            tuples=frozenset(rows(_TUPLES) if keto is None else list_keto_tuples(keto)),
            wanted=frozenset(rows(_WANTED)),
            changes=events(_CHANGES),
            scheduled=events(_SCHEDULED),
            deletions=texts(
                "select split_part(workflow_uuid, ':', 2) from dbos.workflow_status"
                " where workflow_uuid like 'remove_%_relations:%'"
            ),
            tombstones=texts(
                "select entry_id from diary.entry_permission where deleted_at is not null"
                " union all select diary_id from diary.diary_permission"
                " where deleted_at is not null"
            ),
            halves=texts(
                "select coalesce(status.workflow_uuid, input.workflow_uuid)"
                " from dbos.workflow_status as status"
                " full join dbos.workflow_input as input using (workflow_uuid)"
                " where status.workflow_uuid is null or input.workflow_uuid is null"
            ),
            statuses=texts(
                "select distinct status from dbos.workflow_status"
                " where queue_name in ('permissions', 'diaries')"
            ),
        )


def is_settled(url: str) -> bool:
    """Whether the tuples follow every change, and no permission workflow waits or runs."""
    return ask(url, _UNSETTLED) == []


def is_quiet(url: str) -> bool:
    """Whether it is settled, and nothing else waits or runs on any queue."""
    running = (
        "select workflow_uuid, status, queue_name from dbos.workflow_status"
        " where status in ('ENQUEUED', 'PENDING')"
    )
    return ask(url, f"{_UNSETTLED} union all {running}") == []


def is_applied(url: str, key: str) -> bool:
    """Whether the tuples follow the entry's last change, whatever waits on the queue."""
    late = (
        "select from diary.entry_permission join diary.entry on id = entry_id"
        " where key = %s and applied_generation < generation"
    )
    return ask(url, late, key) == []


def check_promise(url: str, keto: KetoAddress | None = None, *, within_s: float = 60) -> Truth:
    """Waits until the diary is settled, and checks it."""
    wait_until_settled(url, within_s=within_s)
    truth = read_truth(url, keto)
    truth.check()
    return truth


def wait_until_settled(url: str, *, within_s: float = 60) -> None:
    """Waits on one connection: to open one for every look is most of the work of looking."""
    with psycopg.connect(url, autocommit=True) as connection:

        def unsettled() -> list[Row]:
            return connection.execute(_UNSETTLED.encode()).fetchall()

        eventually(lambda: unsettled() == [], within_s=within_s, told=unsettled)


def list_keto_tuples(keto: KetoAddress) -> list[Row]:
    """Every entry's and diary's tuples as Keto lists them, copies included."""
    return [each for name in ("DiaryEntry", "Diary") for each in _list_namespace(keto, name)]


def _list_namespace(keto: KetoAddress, namespace: str) -> list[Row]:
    found: list[Row] = []
    page: dict[str, str] = {}
    while True:
        answer = httpx.get(
            f"{keto.read_url}/relation-tuples",
            params={"namespace": namespace, "page_size": "500", **page},
            verify=False,
        ).raise_for_status()
        body = answer.json()
        found += [
            (each["object"], each["relation"], _subject(each)) for each in body["relation_tuples"]
        ]
        if not body.get("next_page_token"):
            return found
        page = {"page_token": body["next_page_token"]}


def _subject(each: Mapping[str, Any]) -> str:
    if "subject_id" in each:
        return each["subject_id"]
    members = each["subject_set"]
    return f"{members['namespace']}:{members['object']}#{members['relation']}"


def eventually(
    condition: Callable[[], object],
    *,
    within_s: float = 60,
    told: Callable[[], object] = lambda: "it did not happen in time",
) -> None:
    """Waits until the condition holds, or fails; `told` says how it stands then."""
    deadline = time.monotonic() + within_s
    pause_s = 0.01
    while not condition():
        assert time.monotonic() < deadline, told()
        time.sleep(pause_s)
        # What takes long had better have the processor than be looked at all the time.
        pause_s = min(pause_s * 1.5, 0.2)


def ask(url: str, query: str, *parameters: object) -> list[Row]:
    """Rows of a query of a test's own, in a transaction of its own."""
    with psycopg.connect(url) as connection:
        cursor = connection.execute(query.encode(), parameters or None)
        # Of rows without columns the description is empty.
        return cursor.fetchall() if cursor.description is not None else []
