"""When requests are not even tried."""

from diary_mcp.permissions.circuit import CircuitBreaker
from support.clock import Clock


def failed(breaker: CircuitBreaker, times: int) -> CircuitBreaker:
    for _ in range(times):
        breaker.record_failure()
    return breaker


def test_failures_in_a_row_open_it() -> None:
    breaker = CircuitBreaker(failures=3, pause_s=2, now=Clock())

    assert not failed(breaker, 2).is_open()
    assert failed(breaker, 1).is_open()


def test_a_success_between_failures_keeps_it_closed() -> None:
    breaker = failed(CircuitBreaker(failures=3, pause_s=2, now=Clock()), 2)

    breaker.record_success()

    assert not failed(breaker, 2).is_open()


def test_after_the_pause_one_failure_opens_it_again_and_one_success_closes_it() -> None:
    clock = Clock()
    breaker = failed(CircuitBreaker(failures=3, pause_s=2, now=clock), 3)

    clock.now_s += 2
    assert not breaker.is_open()
    assert failed(breaker, 1).is_open()

    clock.now_s += 2
    breaker.record_success()
    assert not failed(breaker, 1).is_open()
