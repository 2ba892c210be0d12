"""Fixtures of the integration tests."""

from collections.abc import AsyncGenerator

import pytest

from diary_mcp.permissions.keto import KetoPermissions, open_keto
from support.fake_keto import FakeKeto, fake_keto
from support.keto_config import PATIENCE_S


@pytest.fixture
async def fake() -> AsyncGenerator[FakeKeto]:
    async with fake_keto() as running:
        yield running


@pytest.fixture
async def keto(fake: FakeKeto) -> AsyncGenerator[KetoPermissions]:
    async with open_keto(fake.url, fake.url, timeout_s=PATIENCE_S) as permissions:
        yield permissions
