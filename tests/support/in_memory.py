"""The MCP server and the SDK's client in one process, on a real database."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from mcp.client.client import Client
from mcp_types import CallToolResult, TextContent

from diary_mcp.app import Foundation
from diary_mcp.domain.entry import EntryDiary
from diary_mcp.domain.fields import AgentName, EntryId, Grantee
from diary_mcp.domain.scopes import TOKEN_SCOPES, TokenScope
from diary_mcp.server.build import build_server
from diary_mcp.server.caller import Caller
from diary_mcp.service.diary import Diary
from diary_mcp.service.sharing.settlement import settle
from support.clients import Era, Json


class InMemory:
    """One diary, to which any agent can be connected in one protocol era."""

    def __init__(self, foundation: Foundation, era: Era, *, has_keys: bool = True) -> None:
        self.foundation = foundation
        self._has_keys = has_keys
        self.era: Era = era

    @asynccontextmanager
    async def client(
        self,
        agent: str = "alice",
        scopes: tuple[TokenScope, ...] = TOKEN_SCOPES,
        *,
        diary: str | None = None,
        only: EntryDiary | None = None,
    ) -> AsyncGenerator[Client]:
        caller = Caller(AgentName(agent), frozenset(scopes), diary=diary, only=only)
        server = build_server(self._diary, lambda _context: caller, has_keys=self._has_keys)
        mode = "legacy" if self.era == "2025-11-25" else "auto"
        async with Client(server, mode=mode, cache=None) as client:
            assert client.protocol_version == self.era
            yield client

    async def share(self, entry_id: str, grantee: str) -> None:
        """Shares an entry of alice's, and settles it."""
        alice, diary = AgentName("alice"), self.foundation.diary
        await diary.agents.register(AgentName(grantee))
        share = await diary.sharing.share(alice, entry_id, Grantee(grantee))
        await self.settle(share.entry_id)

    async def settle(self, entry_id: EntryId) -> None:
        await settle([entry_id], self.foundation.settlements, self.foundation.permissions)

    async def settle_all(self) -> None:
        """Settles whatever waits for it."""
        await settle_all(self.foundation)

    async def _diary(self) -> Diary:
        return self.foundation.diary


async def settle_all(foundation: Foundation) -> None:
    """Settles whatever waits for it."""
    waiting = await foundation.settlements.list_unsettled(None, 1_000)
    await settle(waiting, foundation.settlements, foundation.permissions)


async def good(client: Client, tool: str, /, **arguments: object) -> Json:
    """The structured content of a call that went well. `with_` is sent as `with`."""
    if "with_" in arguments:
        arguments["with"] = arguments.pop("with_")
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content
    assert result.structured_content is not None
    return result.structured_content


async def refusal(client: Client, tool: str, /, **arguments: object) -> str:
    """The text of a tool error."""
    if "with_" in arguments:
        arguments["with"] = arguments.pop("with_")
    result = await client.call_tool(tool, arguments)
    assert result.is_error, result.structured_content
    return texts(result)[0]


def texts(result: CallToolResult) -> list[str]:
    """The texts of a result's content."""
    return [block.text for block in result.content if isinstance(block, TextContent)]
