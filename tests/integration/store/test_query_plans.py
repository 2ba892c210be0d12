"""Every statement of every day reads by an index, and what it is about, not what everybody has.

Each is run on 30,000 entries of 300 agents, of whom the caller has 100, and undone again; counted
is what its plan has read of every large table. What looks at everything by its nature is not
here: exports, drift, `reconcile`.
"""

from collections.abc import Mapping
from typing import cast
from uuid import UUID

import pytest
from psycopg.types.json import Json

from diary_mcp.app import Foundation
from diary_mcp.service.ports.workflows import PERMISSION_WORKFLOWS
from diary_mcp.store.database import (
    LONGEST_STATEMENT_S,
    Connection,
    WaitLimits,
    open_database,
)
from diary_mcp.store.sql import load_queries
from support.plans import Plan, nodes

pytestmark = pytest.mark.anyio

AGENT = "agent-1"
ENTRY = UUID(int=300)
SEED = """
insert into diary.agent (name) select 'agent-' || number from generate_series(1, 300) as number;
insert into diary.agent_group (name) select 'team-' || number from generate_series(1, 20) as number;
insert into diary.entry (
    id, key, owner, author, session, type, title, content, tags, importance, supersedes, date,
    created_at, updated_at, content_hash
)
select
    lpad(to_hex(number), 32, '0')::uuid, 'key-' || number, 'agent-' || number % 300 + 1, 'model',
    'session-' || number / 20, case when number % 5 = 0 then 'decision' else 'note' end, 'Title',
    'Some content of entry ' || number, array['tag-' || number % 7], 0.5,
    case when number > 29000 then lpad(to_hex(number - 3000), 32, '0')::uuid end,
    now() - number * interval '1 minute', now(), now(), ''
from generate_series(1, 30000) as number;
insert into diary.entry_permission (entry_id, owner, applied_generation)
select id, owner, 1 from diary.entry;
insert into diary.search_document (entry_id, owner, words_by, vectors_by, words, vectors)
select id, owner, '1', 'words/1', 4, decode(repeat('00', 388), 'hex') from diary.entry;
insert into diary.posting (owner, term, entry_id, count)
select owner, 'term-' || number, id, 1
from diary.entry, generate_series(1, 4) as number;
insert into diary.share (entry_id, grantee, granted_by, expires_at)
select
    id,
    case
        when row % 100 = 0 then 'group:team-' || row / 100 % 20 + 1
        else 'agent-' || row / 5 % 300 + 1
    end,
    owner, case when row % 50 = 0 then now() + interval '1 year' end
from (select id, owner, row_number() over (order by id) as row from diary.entry) as entry
where row % 5 = 0;
insert into diary.relation_tuple (namespace, object, relation, subject_id)
select 'DiaryEntry', id::text, 'owner', owner from diary.entry
union all
select 'Group', 'team-' || number % 20 + 1, 'member', 'agent-' || number
from generate_series(1, 300) as number;
insert into diary.relation_tuple (namespace, object, relation, subject_id)
select 'DiaryEntry', entry_id::text, 'viewer', grantee from diary.share
where not starts_with(grantee, 'group:');
insert into diary.relation_tuple (
    namespace, object, relation, subject_namespace, subject_object, subject_relation
)
select 'DiaryEntry', entry_id::text, 'viewer', 'Group', substr(grantee, 7), 'member'
from diary.share where starts_with(grantee, 'group:');
insert into diary.diary (id, owner, name)
select lpad(to_hex(number), 32, '0')::uuid, 'agent-' || number, 'team'
from generate_series(1, 300) as number;
insert into diary.diary_permission (diary_id, applied_generation)
select id, 1 from diary.diary;
insert into diary.diary_role (diary_id, grantee, role, granted_by)
select
    lpad(to_hex(number), 32, '0')::uuid, 'agent-' || number % 300 + 1, 'writer', 'agent-' || number
from generate_series(1, 300) as number;
update diary.entry
set diary_id = lpad(to_hex(('x' || right(id::text, 4))::bit(16)::integer % 300 + 1), 32, '0')::uuid
where ('x' || right(id::text, 2))::bit(8)::integer % 2 = 0;
-- A team's diary, in which many have written; of all these, one agent alone may read it.
insert into diary.diary (id, owner, name) values (lpad('ffff', 32, '0')::uuid, 'agent-299', 'big');
insert into diary.diary_role (diary_id, grantee, role, granted_by)
values (lpad('ffff', 32, '0')::uuid, 'agent-50', 'viewer', 'agent-299');
update diary.entry
set diary_id = lpad('ffff', 32, '0')::uuid
where ('x' || right(id::text, 2))::bit(8)::integer % 8 = 1;
insert into diary.create_request (agent, idempotency_key, arguments_hash, entry_id)
select owner, 'request-' || id, '', id from diary.entry;
insert into dbos.workflow_status (
    workflow_uuid, status, name, queue_name, serialization, completed_at, application_name,
    created_at
)
select
    'workflow-' || number, case when number > 20000 then 'ENQUEUED' else 'SUCCESS' end, 'name',
    case when number > 20000 then 'another queue' else 'permissions' end, 'portable_json',
    case when number <= 20000 then extract(epoch from now()) * 1000 end, 'diary-mcp',
    extract(epoch from now() - interval '1 day') * 1000
from generate_series(1, 20010) as number;
insert into dbos.workflow_input (workflow_uuid, inputs, retention_timestamp)
select workflow_uuid, '{"positionalArgs": [["x"]]}', 0 from dbos.workflow_status;
"""
FILTERS: Mapping[str, object] = {
    "types": None,
    "tags": None,
    "any_tags": None,
    "exclude_tags": None,
    "since": None,
    "until": None,
    "min_importance": None,
    "include_superseded": False,
}
PARAMETERS: Mapping[str, object] = {
    "late": "4 seconds",
    "very_late": "1 minute",
    **FILTERS,
    "caller": AGENT,
    "owner": AGENT,
    "owners": [AGENT],
    "agent": AGENT,
    "subject": AGENT,
    "grantees": [AGENT, "group:team-2"],
    "grantee": "agent-9",
    "mine": True,
    "shared": True,
    "author": None,
    "session": None,
    "filtered": True,
    "after_date": None,
    "after_id": None,
    "after_created_at": None,
    "after_entry_id": None,
    "after_grantee": None,
    "names": ["key-300"],
    "key": "key-300",
    "keys": ["key-300"],
    "id": ENTRY,
    "ids": [ENTRY],
    "entry_id": ENTRY,
    "entry_ids": [ENTRY],
    "words_by": "1",
    "model": "words/1",
    "terms": ["term-3", "term-4"],
    "firsts": ["z"],
    "ends": ["z\U0010ffff"],
    "prefix": "",
    "counts": Json({"term-3": 1, "term-4": 1}),
    "rarest": ["term-1", "term-2"],
    "fewest": 1,
    "before": UUID(int=2**120),
    "phrase": "content",
    "limit": 20,
    "snippet": 100,
    "opening": 100,
    "depth": 5,
    "version": 1,
    "wants_signature": True,
    "versions": [1],
    "generations": [1],
    "hashes": ["hash"],
    "reason": "refused",
    "queue": "permissions",
    "queues": ["permissions"],
    "executor_id": "executor",
    "executor_ids": ["executor"],
    "deadline": "5 seconds",
    "overdue": "2 minutes",
    "burst": "1 second",
    "burst_changes": 10,
    "burst_patience": "10 minutes",
    "patient_queue": "permissions",
    "idle_patience": "2 seconds",
    "idle_s": 0.5,
    "idle_at_once": 16,
    "busy_s": 0.1,
    "busy_at_once": 48,
    "burst_s": 0.5,
    "burst_at_once": 1,
    "refusal_patience": "1 hour",
    "keep": "1 day",
    "application": "diary-mcp",
    "indexing_queue": "indexing",
    "indexing_workflow": "index_entries",
    "expires_at": None,
    "note": None,
    "idempotency_key": "request",
    "arguments_hash": "hash",
    "newer": ENTRY,
    "older": [UUID(int=301)],
    "kept": [],
    "diary": None,
    "main_of": None,
    "diary_id": None,
    "counted": True,
    "most": 1_000,
    "horizon": "0",
    "change": str(2**64 - 1),
}
"""One reader's, and one entry's; `SPECIAL` says where a statement needs another."""

NEW: Mapping[str, object] = {
    "id": UUID(int=10**6),
    "key": "new",
    "source_path": None,
    "author": "model",
    "session": None,
    "type": "note",
    "title": None,
    "content": "New.",
    "tags": ["tag"],
    "importance": 0.5,
    "source_keys": None,
    "source_hash": None,
    "front_matter": None,
    "imported_version": None,
    "date": "2026-01-31",
    "created_at": "2026-01-31",
    "updated_at": "2026-01-31",
    "content_hash": "",
    "previous_version": 1,
}
SPECIAL: Mapping[str, Mapping[str, object]] = {
    "outline.read_beside_diary": {"diary": UUID(int=1)},
    "outline.read_standing": {"whole": None, "asked": [ENTRY]},
    "outline.read_chosen": {"whole": None, "asked": [ENTRY]},
    "outline.list_matching": {"whole": None},
    "search.read_postings": {"shared": [ENTRY]},
    "search.list_terms": {"shared": [ENTRY], "most": 100},
    "search.list_revisions_in_diary": {"diary": UUID(int=1)},
    "search.read_diary_snapshot": {"diary": UUID(int=1)},
    "search.claim_words": {"version": "1"},
    "search.claim_vectors": {"version": "words/1"},
    "share.list_shares": {"entry_id": None},
    "entry.list_entries of a team": {
        "caller": "agent-50",
        "grantees": ["agent-50"],
        "diary": UUID(int=0xFFFF),
    },
    "entry.list_entries of a diary": {"diary": UUID(int=1), "main_of": None},
    "diary.list_shares": {"diary_id": None, "after_diary_id": None},
    "diary.list_readable by name": {"counted": False},
    "sweep.end_superseded": {"kept": 10},
    "diary.put_role": {
        "diary_id": UUID(int=1),
        "role": "viewer",
        "granted_by": AGENT,
        "grantee": "agent-10",
    },
    "diary.insert_diary": {"name": "new"},
    "diary.find_diary": {"name": "team"},
    "entry.insert_entry": NEW,
    "entry.update_entry": {**NEW, "id": ENTRY, "version": 2},
    "entry.keep_version": {**NEW, "id": ENTRY},
    "audit.list_given": {"before": None},
    "agent.claim_request": {"key": "new"},
    "agent.find_request": {"key": "request"},
}
RULES: Mapping[str, object] = {
    "membership_namespaces": ["Group", "Group"],
    "membership_relations": ["member", "member"],
    "membership_subject_namespaces": [None, "Group"],
    "membership_subject_relations": [None, "member"],
    "granting_namespaces": ["DiaryEntry", "DiaryEntry", "DiaryEntry"],
    "granting_relations": ["owner", "viewer", "viewer"],
    "granting_subject_namespaces": [None, None, "Group"],
    "granting_subject_relations": [None, None, "member"],
    "lending_namespaces": ["Diary"],
    "lending_relations": ["viewer"],
    "lending_subject_namespaces": [None],
    "lending_subject_relations": [None],
    "parent_namespace": "DiaryEntry",
    "parent_relation": "parent",
    "lender": "Diary",
    "namespace": "Group",
    "relation": "member",
    "objects": [str(ENTRY)],
    "max_depth": 2,
    "workflows": list(PERMISSION_WORKFLOWS),
}
STATEMENTS = (
    *("search." + name for name in (
        "read_snapshot", "read_lone_snapshot", "read_diary_snapshot", "list_revisions",
        "list_revisions_in_diary", "read_documents", "read_all_documents", "read_postings",
        "list_terms", "read_texts", "list_entries", "claim_words", "claim_vectors",
        "lock_documents", "remove_postings", "is_waiting",
    )),
    *("outline." + name for name in (
        "read_page", "list_changes", "list_vocabulary", "read_beside_own", "read_beside_diary",
        "read_standing", "read_chosen", "list_matching",
    )),
    *("entry." + name for name in (
        "find_entry", "was_owned_by", "list_entries", "list_own_entries", "list_tags",
        "count_entries", "insert_entry", "link_waiting_source", "keep_version", "update_entry",
        "delete_entry", "bury_entry", "raise_generation", "would_leave_superseded", "part_entries",
    )),
    *("reflection." + name for name in (
        "count_by_type", "count_by_tag", "list_newest", "list_most_important", "list_corrections",
        "count_by_day", "list_open_problems_by_day",
    )),
    *("share." + name for name in (
        "put_share", "remove_share", "find_share", "list_shares", "count_group_shares", "may_reach",
        "find_received_share", "list_received_shares", "list_received_ids",
    )),
    *("expiry." + name for name in (
        "lock_expiring_shares", "carry_out_share_expiry",
        "lock_expiring_roles", "carry_out_role_expiry",
    )),
    "audit.list_given",
    *("sweep." + name for name in ("end_superseded", "list_forgotten", "place_entries")),
    *("diary." + name for name in (
        "find_diary", "list_readable", "insert_diary", "put_role", "remove_role", "list_shares",
        "list_received_roles",
    )),
    "entry.list_entries of a diary",
    "entry.list_entries of a team",
    "diary.list_readable by name",
    *("settlement." + name for name in (
        "read_wanted", "mark_applied", "remove_tombstones", "mark_refused", "count_backlog",
        "list_waiting",
    )),
    *("relation_tuple." + name for name in ("list_memberships", "list_granted")),
    *("suggestion." + name for name in ("suggest_entries", "suggest_sessions", "suggest_tags")),
    "similar.list_candidates",
    *("history." + name for name in ("list_versions", "find_version")),
    *("agent." + name for name in ("claim_request", "find_request")),
    "workflow_queue.request_indexing",
    *("takeover." + name for name in (
        "is_work_there", "stand_by", "list_silent", "poll_rate",
    )),
    "housekeeping.remove_finished",
    "housekeeping.remove_requests",
)  # fmt: skip
LARGE = {
    "entry", "search_document", "posting", "entry_permission", "relation_tuple", "share",
    "audit_event", "create_request", "workflow_status", "workflow_input",
}  # fmt: skip
MAX_ROWS = 1_500
"""Of 6,000 at least, while the caller has 100 entries, and 300 shares name a group."""
FEWER = {"diary.list_readable by name": 20}
"""Those that look at no entry of the caller's either."""
# Statistics of every row and not of some, and no plan that is nearly as cheap without an index:
# what a statement reads must not depend on which rows the planner happens to know.
SURE_PLANS = """
set statement_timeout = 0;
set default_statistics_target = 1000;
set enable_seqscan = off;
"""


async def test_no_statement_reads_more_than_it_is_about(foundation: Foundation) -> None:
    # A busy machine may take a minute to write so much.
    patient = WaitLimits(transaction_s=0, answer_s=LONGEST_STATEMENT_S)
    async with (
        open_database(foundation.database_url, max_size=1, waits=patient) as database,
        database.connection() as connection,
    ):
        await connection.execute(SURE_PLANS)
        await connection.execute(SEED.encode())
        await connection.execute("vacuum analyze")

        excessive = {
            statement: found
            for statement in STATEMENTS
            if (found := await list_excessive_reads(connection, statement))
        }

    assert excessive == {}


async def list_excessive_reads(connection: Connection, statement: str) -> list[str]:
    file, name = statement.split(" ", maxsplit=1)[0].split(".")
    explained = b"explain (analyze, timing off, format json) " + load_queries(file)[name].encode()
    async with connection.transaction(force_rollback=True):
        cursor = await connection.execute(
            explained, {**PARAMETERS, **RULES, **SPECIAL.get(statement, {})}
        )
        row = await cursor.fetchone()
    await connection.execute("select pg_advisory_unlock_all()")
    assert row is not None
    (explanation,) = cast("list[dict[str, Plan]]", row[0])
    return [
        f"{rows} rows of {plan['Relation Name']} by {plan['Node Type']}"
        for plan in nodes(explanation["Plan"])
        if (rows := rows_read(plan)) > FEWER.get(statement, MAX_ROWS)
    ]


def rows_read(plan: Plan) -> int:
    """Rows of a large table that a node looked at, whatever it did with them then."""
    if plan.get("Relation Name") not in LARGE or "Scan" not in str(plan["Node Type"]):
        return 0
    looked_at = ("Actual Rows", "Rows Removed by Filter", "Rows Removed by Index Recheck")
    return round(sum(number(plan, each) for each in looked_at) * number(plan, "Actual Loops"))


def number(plan: Plan, name: str) -> float:
    value = plan.get(name, 0)
    assert isinstance(value, int | float)
    return value


def test_what_a_scan_threw_away_counts_as_read() -> None:
    scan: Plan = {
        "Node Type": "Seq Scan",
        "Relation Name": "entry",
        "Actual Rows": 1,
        "Rows Removed by Filter": 99.0,
        "Actual Loops": 3,
    }

    assert [rows_read(plan) for plan in nodes({"Node Type": "Limit", "Plans": [scan]})] == [0, 300]
