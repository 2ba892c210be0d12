"""The process of a hook: over in time, counted from its start, whatever hangs."""

import json
import threading
from pathlib import Path

import psutil
import pytest

from diary_mcp.plugins.client_files import InstalledClient, Places, plan_install
from diary_mcp.plugins.hook_process import TimeLimit, limit_s, seconds_since_start
from diary_mcp.plugins.hook_state import HookState
from support.paths import ROOT

CONTRACT_S = 5.0
SHIPPED = (ROOT / "src/diary_mcp/plugins/claude-code/hooks/hooks.json").read_text("utf-8")


@pytest.mark.skipif(
    not Path("/proc/self/stat").exists(), reason="This system does not say when it was started."
)
@pytest.mark.parametrize(("later_s", "told_s"), [(10, 10), (50, 50), (70, 0), (-10, 0)])
def test_the_age_of_a_process_counts_from_its_own_start(
    monkeypatch: pytest.MonkeyPatch, later_s: float, told_s: float
) -> None:
    """What is older than a minute is no hook that starts: nothing is believed then."""
    started_s = psutil.Process().create_time() - psutil.boot_time()

    def tell(_clock: int) -> float:
        return started_s + later_s

    monkeypatch.setattr("time.clock_gettime", tell)

    # The kernel tells the time of its own start in whole seconds.
    assert seconds_since_start() == pytest.approx(told_s, abs=2)


@pytest.mark.parametrize("event", ["SessionStart", "Stop", "SessionEnd", "SessionEnded", "Other"])
@pytest.mark.parametrize("hangs", [False, True])
def test_what_is_old_before_it_has_imported_anything_ends_at_once(event: str, hangs: bool) -> None:
    ended, said = threading.Event(), threading.Event()
    limit = TimeLimit(["codex", event], lambda: 60.0, ended.set)
    limit.last_words = threading.Event().wait if hangs else said.set

    limit.begin()

    assert ended.wait(30)
    assert said.is_set() is not hangs


def test_what_has_not_read_its_settings_yet_is_counted_where_the_installation_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DIARY_MCP_DATA_DIR", str(tmp_path / "data"))

    TimeLimit(["codex", "Stop"], lambda: 0.0, lambda: None).last_words()

    assert capfd.readouterr().err == "diary-mcp: this hook took too long and was left out.\n"
    failures = HookState(tmp_path / "data").find_failures()
    assert failures is not None
    assert failures.count == 1


def installed(client: InstalledClient) -> str:
    changes = plan_install(client, Places(Path("/nowhere"), {}, "linux"), {}, lambda _: "x")
    (told,) = [each.after for each in changes if each.after and '"hooks"' in each.after]
    return told


@pytest.mark.parametrize(
    "text",
    [SHIPPED, installed("claude-code"), installed("codex")],
    ids=["plugin", "claude-code", "codex"],
)
def test_a_hook_is_over_before_its_client_would_end_it(text: str) -> None:
    for event, groups in json.loads(text)["hooks"].items():
        ((hook,),) = [group["hooks"] for group in groups]
        assert limit_s(["codex", event]) + 0.8 <= min(hook["timeout"], CONTRACT_S)
