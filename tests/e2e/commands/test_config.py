"""`diary-mcp config`: what it prints starts this very installation."""

import json
import subprocess
from pathlib import Path

import pytest
from mcp.client.client import Client
from mcp.client.stdio import StdioServerParameters

from support.clients import COMMAND, Json, environment
from support.fork_server import complete_command
from support.in_memory import good

pytestmark = pytest.mark.anyio

IN_PROJECTS = {"claude-code", "codex", "vscode", "cursor"}
CLIENTS = {
    "claude-desktop": "mcpServers",
    "claude-code": "mcpServers",
    "vscode": "servers",
    "inspector": "mcpServers",
}


async def test_what_is_printed_starts_this_installation_and_no_module_of_the_clients_folder(
    database_url: str, tmp_path: Path
) -> None:
    (tmp_path / "diary_mcp.py").write_text("raise SystemExit('the wrong one')", "utf-8")
    settings = environment(agent="alice", database_url=database_url, data_dir=tmp_path / "data")
    given = {name: value for name, value in settings.items() if name.startswith("DIARY_MCP_")}

    printed: dict[str, Json] = {
        client: json.loads(complete_command("config", client, env=settings).stdout)
        for client in CLIENTS
    }
    servers = {client: each[CLIENTS[client]]["diary"] for client, each in printed.items()}
    server = servers["claude-desktop"]
    parameters = StdioServerParameters(
        command=server["command"], args=server["args"], env=server["env"], cwd=tmp_path
    )
    async with Client(parameters, read_timeout_seconds=60) as connected:
        identity = await good(connected, "diary_whoami")

    assert (identity["agent"], identity["backends"]["database"]) == ("alice", "postgresql")
    assert Path(server["command"]).is_absolute()
    for client, each in servers.items():
        assert list(printed[client]) == [CLIENTS[client]]
        assert each.get("type", "stdio") == "stdio"
        assert (each["command"], each["args"]) == (server["command"], server["args"])
        in_projects = {"DIARY_MCP_DIARY": "auto"} if client in IN_PROJECTS else {}
        assert each["env"] == given | in_projects


def test_a_variable_that_is_no_setting_is_told_with_those_that_are_close(tmp_path: Path) -> None:
    settings = environment(data_dir=tmp_path) | {"DIARY_MCP_DATABASE": "postgresql://x"}

    done = complete_command("config", "claude-code", env=settings)

    told, *_ = done.stderr.splitlines()
    assert told.startswith(
        "diary-mcp: DIARY_MCP_DATABASE is not a setting and is ignored; close to it"
    )
    assert "DIARY_MCP_DATABASE_URL" in told


def test_flags_and_a_relative_folder_are_told_in_full(tmp_path: Path) -> None:
    done = subprocess.run(
        [COMMAND, "config", "vscode", "--agent", "bob", "--data-dir", "data"],
        env=environment(),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )

    told = json.loads(done.stdout)["servers"]["diary"]["env"]
    assert told["DIARY_MCP_AGENT"] == "bob"
    assert told["DIARY_MCP_DATA_DIR"] == str(tmp_path / "data")
    assert "DIARY_MCP_DATABASE_URL" not in told
    assert "password" not in done.stderr


def test_a_database_address_is_pointed_out(tmp_path: Path) -> None:
    address = "postgresql://u:p@localhost/d"
    done = complete_command(
        "config", "vscode", "--database-url", address, env=environment(data_dir=tmp_path)
    )

    assert "password" in done.stderr
