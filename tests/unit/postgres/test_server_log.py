"""What is told of a server that does not start."""

import os
from pathlib import Path

import pytest

from diary_mcp.postgres.server_log import ServerLog


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    found = os.statvfs("/")

    def without_room(_: Path) -> os.statvfs_result:
        return os.statvfs_result((*found[:3], 0, 0, *found[5:]))

    monkeypatch.setattr(os, "statvfs", without_room)


@pytest.mark.usefixtures("full_disk")
@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("", "no space is left on the disk"),
        ("2026-11-29 11:43:58.16", "no space is left on the disk"),
        ("2026-11-29 11:43:58.165 UTC [7] FATAL:  no room\n", "FATAL:  no room"),
    ],
    ids=["nothing", "half a line", "why"],
)
def test_a_disk_without_room_for_the_reason_is_the_reason(
    tmp_path: Path, said: str, told: str
) -> None:
    path = tmp_path / "postgres.log"
    log = ServerLog(path)
    path.write_text(said)

    assert log.complaints() == told


def test_where_there_is_room_what_was_said_last_is_told(tmp_path: Path) -> None:
    path = tmp_path / "postgres.log"
    log = ServerLog(path)
    path.write_text("2026-11-29 11:43:58.165 UTC [7] LOG:  ended\n")

    assert log.complaints() == "LOG:  ended"
