"""The MCP Inspector's command line against the server, over stdio and over HTTP."""

import json
import subprocess
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from diary_mcp.server.tools.catalogue import HTTP_TOOLS, TOOLS
from support.clients import COMMAND, Json, environment
from support.http_servers import http_server, issue_token
from support.node_tools import INSPECTOR

pytestmark = pytest.mark.xdist_group("inspector")

OK, USAGE, AUTH_REQUIRED, UNREACHABLE, TOOL_ERROR = 0, 1, 3, 4, 5
ERAS = ["legacy", "modern"]


class Inspector:
    """The Inspector with the arguments that reach one server."""

    def __init__(self, *target: str | Path) -> None:
        self._target = target

    def run(self, method: str, *more: str, era: str = "legacy") -> subprocess.CompletedProcess[str]:
        return INSPECTOR.run(
            "--cli", *self._target, "-q", "--protocol-era", era,
            "--method", method, "--format", "json", *more,
            environment={"MCP_INSPECTOR_SECRET_STORE": "memory"},
        )  # fmt: skip

    def result(self, method: str, *more: str, era: str = "legacy") -> Json:
        """What it prints, where it ends well."""
        done = self.run(method, *more, era=era)
        assert done.returncode == OK, done.stderr[-2_000:]
        return unwrapped(json.loads(done.stdout))

    def call(self, tool: str, era: str = "legacy", **arguments: object) -> Json:
        """What a tool answers."""
        return self.result("tools/call", *tool_call(tool, **arguments), era=era)


def tool_call(tool: str, **arguments: object) -> list[str]:
    return ["--tool-name", tool, "--tool-args-json", json.dumps(arguments)]


def unwrapped(printed: Any) -> Json:
    """The result, whether or not it is in an envelope."""
    return printed.get("result", printed)


@pytest.fixture(scope="module")
def over_stdio(database: str, tmp_path_factory: pytest.TempPathFactory) -> Inspector:
    """Started with the file that `diary-mcp config inspector` prints."""
    printed = subprocess.run(
        [COMMAND, "config", "inspector"],
        env=environment(agent="alice", database_url=database),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    file = tmp_path_factory.mktemp("inspector") / "mcp.json"
    file.write_text(printed.stdout, "utf-8")
    return Inspector("--config", file, "--server", "diary")


@pytest.fixture(scope="module")
def over_http(database: str) -> Generator[Inspector]:
    token = issue_token(database, "alice").secret
    with http_server(environment(database_url=database)) as server:
        server.wait_until_ready()
        yield Inspector(f"{server.url}/mcp", "--header", f"Authorization: Bearer {token}")


@pytest.fixture(params=["over_stdio", "over_http"])
def inspector(request: pytest.FixtureRequest) -> Inspector:
    chosen: Inspector = request.getfixturevalue(request.param)
    return chosen


@pytest.mark.parametrize("era", ERAS)
def test_an_entry_is_written_found_and_read(inspector: Inspector, era: str) -> None:
    created = inspector.call("diary_create", era, content="Written with the Inspector.")
    entry_id = created["structuredContent"]["id"]

    found = inspector.call("diary_get", era, entry_id=entry_id)
    document = inspector.result("resources/read", "--uri", f"diary://entries/{entry_id}", era=era)

    assert found["structuredContent"]["type"] == "note"
    assert document["contents"][0]["text"].endswith("---\nWritten with the Inspector.")


@pytest.mark.parametrize("era", ERAS)
def test_everything_is_listed(inspector: Inspector, era: str) -> None:
    tools = inspector.result("tools/list", era=era)["tools"]
    resources = inspector.result("resources/list", era=era)["resources"]
    templates = inspector.result("resources/templates/list", era=era)["resourceTemplates"]
    prompts = inspector.result("prompts/list", era=era)["prompts"]

    assert {tool["name"] for tool in tools} in (TOOLS.keys(), HTTP_TOOLS.keys())
    assert {"diary://context", "diary://recent"} <= {resource["uri"] for resource in resources}
    assert len(templates) == 3
    assert len(prompts) == 6


def test_a_prompt_is_filled(inspector: Inspector) -> None:
    filled = inspector.result(
        "prompts/get", "--prompt-name", "session_start", "--prompt-args", "task=Find the cause"
    )

    assert "The task of this session: Find the cause" in filled["messages"][0]["content"]["text"]


def test_no_schema_is_an_error_to_other_clients(inspector: Inspector) -> None:
    done = inspector.run("tools/list", "--strict")

    assert done.returncode == OK
    # It prints nothing where it has nothing to say.
    assert done.stderr == "" or "0 errors" in done.stderr


def test_a_tool_error_ends_with_its_own_status(inspector: Inspector) -> None:
    done = inspector.run("tools/call", *tool_call("diary_get", entry_id="absent"))

    assert done.returncode == TOOL_ERROR
    assert "not_found: No entry 'absent' that you may read" in done.stdout


def test_a_resource_that_is_not_there_is_a_protocol_error(inspector: Inspector) -> None:
    done = inspector.run("resources/read", "--uri", "diary://entries/absent")

    assert done.returncode == USAGE
    assert "not_found: No entry 'absent' that you may read" in done.stderr


def test_without_a_token_it_is_told_to_sign_in(database: str) -> None:
    with http_server(environment(database_url=database)) as server:
        stranger = Inspector(f"{server.url}/mcp", "--stored-auth-only")

        done = stranger.run("tools/list")

    assert done.returncode == AUTH_REQUIRED


def test_a_server_that_is_not_there_is_unreachable() -> None:
    done = Inspector("http://127.0.0.1:9/mcp").run("tools/list")

    assert done.returncode == UNREACHABLE
