"""The MCP SDK's own client over stdio, in both protocol eras: what real clients go through."""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from uuid import uuid4

import jsonschema
import pytest
from mcp.client.client import Client
from mcp_types import CallToolResult, TextContent, Tool

from support.clients import ERAS, Era, Json, environment, sdk_client

pytestmark = [pytest.mark.anyio, pytest.mark.xdist_group("sdk")]

NAMES = {
    "diary_create",
    "diary_get",
    "diary_list",
    "diary_search",
    "diary_update",
    "diary_delete",
    "diary_share",
    "diary_unshare",
    "diary_shares",
    "diary_diaries",
    "diary_tags",
    "diary_whoami",
}
LISTED = {"diary_list", "diary_get", "diary_search", "diary_shares", "diary_tags", "diary_whoami"}


class Agent:
    """One agent's client, which checks every answer against the tool's output schema."""

    def __init__(self, name: str, client: Client, tools: list[Tool]) -> None:
        self.name = name
        self._client = client
        self._tools = {tool.name: tool for tool in tools}

    async def call(self, tool: str, /, **arguments: object) -> Json:
        result = await self._client.call_tool(tool, arguments)
        assert not result.is_error, text_of(result)
        schema = self._tools[tool].output_schema
        assert schema is not None
        structured: Json = result.structured_content or {}
        jsonschema.validate(structured, schema)
        assert json.loads(text_of(result)) == structured
        return structured

    async def error(self, tool: str, /, **arguments: object) -> str:
        result = await self._client.call_tool(tool, arguments)
        assert result.is_error
        return text_of(result)


def text_of(result: CallToolResult) -> str:
    """The answer; what others wrote has a second text that says so."""
    content = result.content[0]
    assert isinstance(content, TextContent)
    return content.text


@asynccontextmanager
async def agent(database_url: str, name: str, era: Era) -> AsyncGenerator[Agent]:
    async with sdk_client(environment(agent=name, database_url=database_url), era) as client:
        tools = (await client.list_tools()).tools
        assert client.protocol_version == era
        assert client.server_info is not None
        assert client.server_info.name == "diary-mcp"
        assert client.instructions
        check(tools)
        yield Agent(name, client, tools)


def check(tools: list[Tool]) -> None:
    assert {tool.name for tool in tools} >= NAMES
    for tool in tools:
        assert tool.title
        assert tool.description
        assert tool.annotations is not None
        assert tool.annotations.read_only_hint is (tool.name in LISTED or tool.name not in NAMES)
        assert tool.input_schema["additionalProperties"] is False
        assert tool.output_schema is not None
        assert tool.output_schema["type"] == "object"
    listed = [tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in tools]
    assert len(json.dumps({"tools": listed})) <= 16_000


async def codes_of_wrong_calls(agent: Agent, entry_id: str) -> list[str]:
    """How the errors begin that the agent is told."""
    told = [
        await agent.error("diary_create", content=7),
        await agent.error("diary_create", content="x", colour="red"),
        await agent.error("diary_create", content="x\0y"),
        await agent.error("diary_get", entry_id=str(uuid4())),
        await agent.error("diary_update", entry_id=entry_id, expected_version=9, title="t"),
        await agent.error("diary_share", entry_id=entry_id, **{"with": "nobody-here"}),
        await agent.error("diary_list", cursor="damaged"),
    ]
    return [text.partition(":")[0] for text in told]


async def test_two_agents_go_through_every_tool_and_learn_what_was_wrong(
    database_url: str, subtests: pytest.Subtests
) -> None:
    """One speaks the older protocol and the other the newer one, in either part."""
    older, newer = ERAS
    async with (
        agent(database_url, "alice", older) as alice,
        agent(database_url, "bob", newer) as bob,
    ):
        for writer, reader in ((alice, bob), (bob, alice)):
            with subtests.test(writer=writer.name):
                await go_through_every_tool(writer, reader)


async def go_through_every_tool(writer: Agent, reader: Agent) -> None:
    """The writer's entries are the only ones of its own; one is shared with the reader."""
    assert (await reader.call("diary_whoami"))["agent"] == reader.name
    first = await writer.call("diary_create", content="First thoughts.", key="thought")
    entry = await writer.call(
        "diary_create",
        content="Better thoughts on granite.",
        title="Thoughts",
        type="correction",
        tags=["stone"],
        importance=0.9,
        supersedes="thought",
        idempotency_key=uuid4().hex,
    )
    entry_id = entry["id"]

    thought = await writer.call("diary_get", entry_id="thought")
    assert (thought["id"], thought["superseded_by"]) == (first["id"], entry_id)
    listed = await writer.call("diary_list", limit=1)
    assert [each["id"] for each in listed["entries"]] == [entry_id]
    rest = await writer.call("diary_list", limit=1, cursor=listed["next_cursor"])
    assert [each["id"] for each in rest["entries"]] == [first["id"]]
    found = await writer.call("diary_search", query="granite")
    assert [each["id"] for each in found["hits"]] == [entry_id]
    tags = await writer.call("diary_tags")
    assert tags == {"tags": [{"tag": "stone", "count": 1}]}

    share = {"entry_id": entry_id, "with": reader.name}
    assert (await writer.call("diary_share", **share))["sharing"] == "pending"
    shares = await writer.call("diary_shares")
    assert [each["with"] for each in shares["shares"]] == [reader.name]
    while "sharing" in await writer.call("diary_get", entry_id=entry_id):
        pass
    assert (await reader.call("diary_get", entry_id=entry_id))["role"] == "viewer"
    assert (await reader.error("diary_delete", entry_id=entry_id)).startswith("forbidden: ")

    updated = await writer.call(
        "diary_update", entry_id=entry_id, expected_version=1, content="Granite it is."
    )
    assert updated["version"] == 2
    await writer.call("diary_unshare", **share)
    assert (await reader.error("diary_get", entry_id=entry_id)).startswith("not_found: ")
    await writer.call("diary_delete", entry_id=entry_id)
    assert (await writer.error("diary_get", entry_id=entry_id)).startswith("not_found: ")
    counts = (await writer.call("diary_whoami"))["counts"]
    assert counts == {"entries": 1, "shared": 0}
    assert await codes_of_wrong_calls(writer, first["id"]) == [
        *["invalid_argument"] * 3,
        "not_found",
        "conflict",
        *["invalid_argument"] * 2,
    ]
