"""Every statement of search reads by an index, and what an owner has, not what everybody has."""

import json
import re

import pytest

from diary_mcp.app import Foundation
from diary_mcp.store.sql import load_queries
from support.searching import Searching, WordEmbedder

pytestmark = pytest.mark.anyio

SEED = """
insert into diary.agent (name) select 'agent-' || number from generate_series(1, 300) as number;
insert into diary.entry (
    id, owner, author, session, type, content, tags, importance, date, created_at, updated_at,
    content_hash
)
select
    gen_random_uuid(), 'agent-' || number % 300 + 1, 'model', 'session-' || number / 20, 'note',
    'Some content of entry ' || number, '{}', 0.5, now(), now(), now(), ''
from generate_series(1, 30000) as number;
insert into diary.search_document (entry_id, owner, words_by, vectors_by, words, vectors)
select id, owner, '1', 'words/1', 4, decode(repeat('00', 388), 'hex') from diary.entry;
insert into diary.posting (owner, term, entry_id, count)
select owner, 'term-' || number, id, 1
from diary.entry, generate_series(1, 4) as number;
insert into diary.share (entry_id, grantee, granted_by)
select id, 'agent-1', owner from diary.entry where owner <> 'agent-1' order by id limit 20;
analyze;
"""
PARAMETERS: dict[str, object] = {
    "caller": "agent-1",
    "grantees": ["agent-1"],
    "mine": True,
    "shared": True,
    "types": None,
    "tags": None,
    "any_tags": None,
    "exclude_tags": None,
    "author": None,
    "since": None,
    "until": None,
    "min_importance": None,
    "include_superseded": False,
    "created_by": None,
    "names": [],
    "ids": [],
    "words_by": "1",
    "model": "words/1",
    "terms": ["term-3", "term-4"],
    "firsts": ["z"],
    "ends": ["z\U0010ffff"],
    "version": "1",
    "versions": [],
    "limit": 16,
    "phrase": "content",
}
STATEMENTS = (
    "read_corpus",
    "read_postings",
    "list_terms",
    "read_texts",
    "list_with_phrase",
    "claim_words",
    "claim_vectors",
    "lock_documents",
    "remove_postings",
    "is_waiting",
)
LARGE = {"entry", "search_document", "posting"}
SEQUENTIAL = re.compile(r'"Node Type": "Seq Scan"[^{}]*?"Relation Name": "(\w+)"')


@pytest.fixture
async def seeded(foundation: Foundation) -> Searching:
    diary = Searching(foundation, WordEmbedder())
    async with foundation.database.connection() as connection:
        await connection.execute(SEED.encode())
    return diary


@pytest.mark.parametrize("name", STATEMENTS)
async def test_no_statement_reads_a_whole_table(seeded: Searching, name: str) -> None:
    parameters: dict[str, object] = {
        **PARAMETERS,
        "shared": [] if name in {"read_postings", "list_terms"} else True,
        "version": "words/1" if name == "claim_vectors" else "1",
    }

    async with seeded.foundation.database.connection() as connection:
        explained = b"explain (format json) " + load_queries("search")[name].encode()
        cursor = await connection.execute(explained, parameters)
        row = await cursor.fetchone()

    assert row is not None
    assert not LARGE & set(SEQUENTIAL.findall(json.dumps(row[0], sort_keys=True)))


def test_a_sequential_scan_would_be_seen() -> None:
    plan = [{"Plan": {"Node Type": "Seq Scan", "Relation Name": "entry", "Alias": "e"}}]

    assert SEQUENTIAL.findall(json.dumps(plan, sort_keys=True)) == ["entry"]
