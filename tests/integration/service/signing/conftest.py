"""A diary of an agent whose keys are here."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from diary_mcp.app import Foundation
from support.signed_diaries import signed_diary


@pytest.fixture
async def diary(database_url: str, tmp_path: Path) -> AsyncGenerator[Foundation]:
    """With nothing in it."""
    async with signed_diary(database_url, tmp_path / "data") as foundation:
        yield foundation
