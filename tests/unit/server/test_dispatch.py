"""What a request waits for before it begins."""

import anyio
import pytest

from diary_mcp.domain.errors import UnavailableError
from diary_mcp.domain.fields import AgentName
from diary_mcp.server.caller import Caller
from diary_mcp.server.dispatch import Dispatcher
from diary_mcp.service.diary import Diary

pytestmark = pytest.mark.anyio

ALICE = Caller(AgentName("alice"))


async def test_a_diary_that_is_still_coming_up_is_told_with_what_was_not_begun() -> None:
    asked: list[Diary] = []

    async def provide() -> Diary:
        await anyio.sleep_forever()
        raise AssertionError

    async def ask(diary: Diary) -> None:
        asked.append(diary)

    dispatcher = Dispatcher(provide, lambda _context: ALICE, start_timeout_s=0.01)
    with pytest.raises(UnavailableError, match="diary_create was not begun"):
        await dispatcher.admit(ALICE, "diary:write", "diary_create", ask)

    assert asked == []
