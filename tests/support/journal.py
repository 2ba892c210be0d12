"""Diary files for tests: samples written for them, and a real folder where one is at hand."""

import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from diary_mcp.domain.fields import AgentName
from diary_mcp.domain.version import EntryRecord, new_record
from diary_mcp.service.archive.importer import ImportedEntry
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


def stored(imported: ImportedEntry, owner: AgentName = OWNER) -> EntryRecord:
    """The entry as the database has it right after the import; its claim is not linked."""
    record = new_record(imported.draft, owner, MODIFIED_AT, entry_id=imported.entry_id)
    return replace(
        record,
        tags=tuple(record.tags),
        created_at=record.date,
        updated_at=record.date,
        content_hash="",
        source_keys=imported.draft.supersedes,
        source_hash=imported.source_hash,
        front_matter=imported.front_matter,
    )
