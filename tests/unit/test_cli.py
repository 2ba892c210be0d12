"""The command `diary-mcp`, before any command of it runs."""

import gc
import sys

import pytest

from diary_mcp.cli import main


def test_garbage_is_collected_again_once_a_command_is_imported(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["diary-mcp", "serve", "--help"])

    with pytest.raises(SystemExit):
        main()

    assert gc.isenabled()
    assert "--transport" in capsys.readouterr().out
