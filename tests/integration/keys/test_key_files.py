"""The key file of an agent, which every process of the agent may be the first to make."""

import subprocess
import sys
from pathlib import Path


def test_of_many_processes_that_are_first_one_key_wins(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib; from diary_mcp.keys.key_files import AgentKeys; "
        "print(AgentKeys(pathlib.Path(sys.argv[1]), 'alice').present.load_or_create().public_key)"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    made = {process.communicate(timeout=60)[0].strip() for process in processes}

    assert len(made) == 1
    assert [each.name for each in (tmp_path / "keys").iterdir()] == ["alice.pem"]
