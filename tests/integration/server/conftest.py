from typing import cast

import pytest

from diary_mcp.app import Foundation
from support.clients import ERAS, Era
from support.in_memory import InMemory


@pytest.fixture
def in_memory(foundation: Foundation) -> InMemory:
    """The server and the SDK's client in this process, on a fresh diary, in the newest era."""
    return InMemory(foundation, ERAS[-1])


@pytest.fixture(params=ERAS)
def in_each_era(request: pytest.FixtureRequest, foundation: Foundation) -> InMemory:
    """Likewise in one era after the other, for what the era has a part in."""
    return InMemory(foundation, cast("Era", request.param))
