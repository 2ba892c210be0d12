"""The MCP Inspector's command line against the server, over stdio and over HTTP."""

import json
import subprocess
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from diary_mcp.server.tools.catalogue import HTTP_TOOLS
from support.clients import Json, environment
from support.fork_server import complete_command
from support.http_servers import http_server, issue_token
from support.node_tools import INSPECTOR

pytestmark = pytest.mark.xdist_group("inspector")

OK, AUTH_REQUIRED, TOOL_ERROR = 0, 3, 5


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
    settings = environment(agent="alice", database_url=database)
    printed = complete_command("config", "inspector", env=settings)
    file = tmp_path_factory.mktemp("inspector") / "mcp.json"
    file.write_text(printed.stdout, "utf-8")
    return Inspector("--config", file, "--server", "diary")


@pytest.fixture(scope="module")
def url(database: str) -> Generator[str]:
    with http_server(environment(database_url=database)) as server:
        yield f"{server.wait_until_ready().url}/mcp"


@pytest.fixture(scope="module")
def over_http(database: str, url: str) -> Inspector:
    token = issue_token(database, "alice").secret
    return Inspector(url, "--header", f"Authorization: Bearer {token}")


@pytest.fixture(scope="module")
def entry_id(over_stdio: Inspector) -> str:
    """An entry, written over stdio in the older era."""
    created = over_stdio.call("diary_create", content="Written with the Inspector.")
    return created["structuredContent"]["id"]


def test_an_entry_that_was_written_over_stdio_in_one_era_is_read_over_http_in_the_other(
    over_http: Inspector, entry_id: str
) -> None:
    found = over_http.call("diary_get", "modern", entry_id=entry_id)

    assert found["structuredContent"]["content"] == "Written with the Inspector."


# What follows is the same over stdio, once it has connected, and in the other era.
def test_the_tools_are_listed_and_no_schema_is_an_error_to_other_clients(
    over_http: Inspector,
) -> None:
    done = over_http.run("tools/list", "--strict", era="modern")

    assert done.returncode == OK
    # It prints nothing where it has nothing to say.
    assert done.stderr == "" or "0 errors" in done.stderr
    tools = unwrapped(json.loads(done.stdout))["tools"]
    assert {tool["name"] for tool in tools} == HTTP_TOOLS.keys()


def test_a_resource_is_read(over_http: Inspector, entry_id: str) -> None:
    document = over_http.result("resources/read", "--uri", f"diary://entries/{entry_id}")

    assert document["contents"][0]["text"].endswith("---\nWritten with the Inspector.")


def test_a_prompt_is_filled(over_http: Inspector) -> None:
    filled = over_http.result(
        "prompts/get", "--prompt-name", "session_start", "--prompt-args", "task=Find the cause"
    )

    assert "The task of this session: Find the cause" in filled["messages"][0]["content"]["text"]


def test_a_tool_error_ends_with_its_own_status(over_http: Inspector) -> None:
    done = over_http.run("tools/call", *tool_call("diary_get", entry_id="absent"))

    assert done.returncode == TOOL_ERROR
    assert "not_found: No entry 'absent' that you may read" in done.stdout


def test_without_a_token_it_is_told_to_sign_in(url: str) -> None:
    done = Inspector(url, "--stored-auth-only").run("tools/list")

    assert done.returncode == AUTH_REQUIRED
