"""What was written without an answer may be done late, so it is looked at once more."""

from collections.abc import Sequence
from uuid import UUID

import pytest

from diary_mcp.domain.errors import (
    DatabaseUnavailableError,
    LocksLostError,
    PermissionBackendUnavailableError,
    PermissionRefusedError,
    UnansweredWriteError,
)
from diary_mcp.domain.fields import EntryId
from diary_mcp.service.ports.workflows import RelatedId
from diary_mcp.service.sharing.unanswered_writes import SecondLooks
from support.clock import Clock

pytestmark = pytest.mark.anyio

ONE, OTHER = EntryId(UUID(int=1)), EntryId(UUID(int=2))


class Settling:
    """Settles, or fails as it is told."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.clock = Clock()
        self.looks = SecondLooks(self._settle, now=self.clock)

    async def _settle(self, _ids: Sequence[RelatedId]) -> None:
        if self.error is not None:
            raise self.error

    async def fails(self, error: Exception, *ids: EntryId) -> None:
        self.error = error
        with pytest.raises(type(error)):
            await self.looks.settle(ids)
        self.error = None


@pytest.mark.parametrize("error", [UnansweredWriteError("?"), LocksLostError("?")])
async def test_what_may_be_done_late_is_due_after_a_while_and_until_it_was_settled_then(
    error: Exception,
) -> None:
    settling = Settling()
    await settling.fails(error, ONE, OTHER)

    await settling.looks.settle([ONE, OTHER])
    early = settling.looks.list_due()
    settling.clock.now_s += 60
    late = settling.looks.list_due()
    await settling.fails(DatabaseUnavailableError("down"), ONE)
    await settling.looks.settle([OTHER])
    left = settling.looks.list_due()
    await settling.fails(PermissionRefusedError("never"), ONE)

    assert (early, late, left, settling.looks.list_due()) == ([], [ONE, OTHER], [ONE], [])


async def test_a_second_look_that_is_not_answered_either_is_followed_by_another() -> None:
    settling = Settling()
    await settling.fails(UnansweredWriteError("?"), ONE)
    settling.clock.now_s += 60
    await settling.fails(UnansweredWriteError("?"), ONE)

    assert settling.looks.list_due() == []
    settling.clock.now_s += 60
    assert settling.looks.list_due() == [ONE]


async def test_what_was_not_written_needs_no_second_look() -> None:
    settling = Settling()
    await settling.fails(PermissionBackendUnavailableError("down"), ONE)
    settling.clock.now_s += 60

    assert settling.looks.list_due() == []
