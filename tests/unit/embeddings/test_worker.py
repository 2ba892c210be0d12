"""When the process of the sentence model ends, by a clock of the test's own."""

import os
from threading import Event
from types import SimpleNamespace

import pytest

from diary_mcp.embeddings.worker import IdleEnd


def test_it_ends_so_long_after_it_was_put_off_last(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = 0.0
    put_off_at_s: list[float] = []
    ended, is_made = Event(), Event()

    def sleep(seconds: float) -> None:
        """Sleeps, and half of the first two times somebody asks meanwhile."""
        nonlocal now_s
        is_made.wait()
        if len(put_off_at_s) < 2:
            put_off_at_s.append(now_s + seconds / 2)
            now_s += seconds / 2
            idle_end.put_off()
            seconds /= 2
        now_s += seconds

    def end(_status: int) -> None:
        ended.set()

    clock = SimpleNamespace(monotonic=lambda: now_s, sleep=sleep)
    monkeypatch.setattr("diary_mcp.embeddings.worker.time", clock)
    monkeypatch.setattr(os, "_exit", end)

    idle_end = IdleEnd(60)
    is_made.set()

    assert ended.wait(10)
    assert put_off_at_s == [30, 75]
    assert now_s == put_off_at_s[-1] + 60
