"""Clients that watch entries, in either protocol era, and hear of changes as addresses."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.client.client import Client
from mcp.client.session import IncomingMessage, MessageHandlerFnT
from mcp.client.subscriptions import ResourceUpdated, Subscription
from mcp_types import (
    EmptyResult,
    ResourceUpdatedNotification,
    SubscribeRequest,
    SubscribeRequestParams,
    UnsubscribeRequest,
    UnsubscribeRequestParams,
)

from diary_mcp.app import Foundation
from diary_mcp.domain.entry import EntryDiary
from diary_mcp.domain.fields import AgentName
from diary_mcp.server.build import build_server
from diary_mcp.server.caller import Caller
from diary_mcp.server.resources.watchers import Watchers
from diary_mcp.service.diary import Diary
from support.clients import Era

_DEADLINE_S = 60


class Ear:
    """What one client hears."""

    def __init__(self, client: Client, heard: MemoryObjectReceiveStream[str]) -> None:
        self.client = client
        self._heard = heard

    async def hears(self) -> str:
        """The next address that is told."""
        with anyio.fail_after(_DEADLINE_S):
            return await self._heard.receive()

    def hears_nothing_more(self) -> bool:
        return self._heard.statistics().current_buffer_used == 0


@asynccontextmanager
async def ear(
    foundation: Foundation, era: Era, agent: str, *uris: str, only: EntryDiary | None = None
) -> AsyncGenerator[Ear]:
    """A client of `agent` that watches `uris`, with a server of its own on the diary."""

    async def provide() -> Diary:
        return foundation.diary

    is_legacy = era == "2025-11-25"
    watchers = Watchers(provide)
    caller = Caller(AgentName(agent), only=only)
    server = build_server(provide, lambda _context: caller, watchers, keeps_session=is_legacy)
    tell, heard = anyio.create_memory_object_stream[str](100)
    client = Client(
        server,
        mode="legacy" if is_legacy else "auto",
        cache=None,
        message_handler=_hears_through(tell) if is_legacy else None,
    )
    async with anyio.create_task_group() as tasks, tell, heard:
        tasks.start_soon(watchers.run)
        async with client, listening(client, era, uris, tell):
            yield Ear(client, heard)
        tasks.cancel_scope.cancel()


@asynccontextmanager
async def listening(
    client: Client, era: Era, uris: Sequence[str], tell: MemoryObjectSendStream[str]
) -> AsyncGenerator[None]:
    """Watches `uris` while the block runs."""
    if era == "2025-11-25":
        for uri in uris:
            await subscribe(client, uri)
        yield
        return
    async with (
        client.listen(resource_subscriptions=uris) as subscription,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(_pass_on, subscription, tell)
        yield
        tasks.cancel_scope.cancel()


async def subscribe(client: Client, uri: str) -> None:
    """`resources/subscribe`, without the SDK's warning that later protocols have it no more."""
    request = SubscribeRequest(params=SubscribeRequestParams(uri=uri))
    await client.session.send_request(request, EmptyResult)


async def unsubscribe(client: Client, uri: str) -> None:
    request = UnsubscribeRequest(params=UnsubscribeRequestParams(uri=uri))
    await client.session.send_request(request, EmptyResult)


def _hears_through(tell: MemoryObjectSendStream[str]) -> MessageHandlerFnT:
    async def hear(message: IncomingMessage) -> None:
        if isinstance(message, ResourceUpdatedNotification):
            await tell.send(message.params.uri)

    return hear


async def _pass_on(subscription: Subscription, tell: MemoryObjectSendStream[str]) -> None:
    async for event in subscription:
        if isinstance(event, ResourceUpdated):
            await tell.send(event.uri)
