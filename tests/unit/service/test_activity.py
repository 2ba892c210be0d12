"""Whether somebody waits for an answer, as work in the background is told it."""

import anyio
import pytest

from diary_mcp.service.activity import Activity
from support.clock import Clock


def test_it_is_lively_from_the_start_of_a_change_until_a_moment_after_the_last_ended() -> None:
    clock = Clock()
    activity = Activity(clock)
    told = [activity.is_lively]

    with activity.change():
        with activity.change():
            clock.now_s += 10
            told.append(activity.is_lively)
        clock.now_s += 10
        told.append(activity.is_lively)
    told.append(activity.is_lively)
    clock.now_s += 10
    told.append(activity.is_lively)

    assert told == [False, True, True, True, False]


def test_after_the_end_nobody_waits_for_changes_any_more() -> None:
    activity = Activity(Clock())

    with activity.change():
        activity.end()

        assert not activity.is_lively


@pytest.mark.anyio
async def test_a_pause_is_over_with_the_end() -> None:
    activity = Activity(Clock())

    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            group.start_soon(activity.pause, 3_600)
            activity.end()


def test_a_change_that_fails_has_ended() -> None:
    clock = Clock()
    activity = Activity(clock)

    with pytest.raises(LookupError), activity.change():
        raise LookupError
    clock.now_s += 10

    assert not activity.is_lively
