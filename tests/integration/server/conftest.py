from typing import cast

import pytest

from diary_mcp.app import Foundation
from support.clients import ERAS, Era
from support.in_memory import InMemory


@pytest.fixture(params=ERAS)
def in_memory(request: pytest.FixtureRequest, foundation: Foundation) -> InMemory:
    """The server and the SDK's client in this process, on a fresh diary."""
    return InMemory(foundation, cast("Era", request.param))
