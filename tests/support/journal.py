"""Diary files for tests: samples written for them, and a real folder where one is at hand."""

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from uuid_utils.compat import uuid7

from diary_mcp.domain.fields import AgentName, EntryId
from diary_mcp.service.archive.importer import ImportedEntry
from diary_mcp.service.ports.archive import StoredEntry
from support.paths import ROOT, TESTS

OWNER = AgentName("alice")
MODIFIED_AT = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
SAMPLES = TESTS / "samples" / "journal"


def real_journal() -> Path:
    """The folder that `DIARY_MCP_TEST_JOURNAL` names, or one beside the checkout; or skips."""
    beside = ROOT.parent / "shared" / "journal"
    folder = Path(os.environ.get("DIARY_MCP_TEST_JOURNAL", beside))
    if not folder.is_dir():
        pytest.skip(f"no real journal at {folder}; DIARY_MCP_TEST_JOURNAL names one")
    return folder


def stored(imported: ImportedEntry, owner: AgentName = OWNER) -> StoredEntry:
    """The entry as the database has it right after the import; its claim is not linked."""
    draft = imported.draft
    date = draft.date or MODIFIED_AT
    return StoredEntry(
        id=imported.entry_id or EntryId(uuid7()),
        key=draft.key,
        owner=owner,
        author=draft.author or owner,
        session=draft.session,
        type=draft.type,
        title=draft.title,
        content=draft.content,
        tags=tuple(draft.tags),
        importance=draft.importance,
        supersedes=None,
        superseded_key=None,
        version=1,
        date=date,
        created_at=date,
        updated_at=date,
        content_hash="",
        source_key=draft.supersedes,
        source_hash=imported.source_hash,
        front_matter=imported.front_matter,
    )
