"""What stands around every unit test: it starts no process and reaches nothing outside."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from support.paths import ROOT


def test_a_unit_test_that_starts_a_process_fails() -> None:
    with pytest.raises(AssertionError, match=r"subprocess\.Popen in a unit test"):
        subprocess.run([sys.executable, "-c", ""], check=False)


def test_a_unit_test_that_opens_a_connection_fails() -> None:
    with (
        socket.socket() as client,
        pytest.raises(AssertionError, match=r"socket\.connect"),
    ):
        client.connect(("127.0.0.1", 1))


def test_a_unit_test_that_writes_beside_its_own_folder_fails(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("x")

    with pytest.raises(AssertionError, match="nothing outside tmp_path"):
        (ROOT / "not-mine").write_text("x")
    assert not (ROOT / "not-mine").exists()
