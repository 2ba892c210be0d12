"""Subscriptions: a client is told when an entry that it watches changes, whoever changed it.

From protocol 2026-07-28 on a client listens on a stream, over any transport. Before, it subscribes
address by address on a session, which only stdio keeps.
"""

from collections import defaultdict
from collections.abc import Callable, Collection
from contextlib import AsyncExitStack

from mcp.server.subscriptions import ListenHandler, ResourceUpdated, ServerEvent
from mcp_types import (
    EmptyResult,
    SubscribeRequestParams,
    SubscriptionFilter,
    SubscriptionsListenRequestParams,
    SubscriptionsListenResult,
    UnsubscribeRequestParams,
)

from diary_mcp.domain.errors import InvalidArgumentError, NotFoundError
from diary_mcp.domain.fields import EntryId
from diary_mcp.server.caller import Caller
from diary_mcp.server.confinement import require_within
from diary_mcp.server.dispatch import Dispatcher, RequestContext
from diary_mcp.server.errors import protocol_error
from diary_mcp.server.resources.resources import find_entry_reference
from diary_mcp.server.resources.watchers import Addresses, Tell, Watchers
from diary_mcp.service.diary import Diary

_MAX_ADDRESSES = 100
_LISTEN = "subscriptions/listen"


class Subscriptions:
    """Answers `subscriptions/listen`, and `resources/subscribe` where sessions are kept."""

    def __init__(self, dispatcher: Dispatcher, watchers: Watchers) -> None:
        self._dispatcher = dispatcher
        self._watchers = watchers
        self._subscribed: dict[str, AsyncExitStack] = {}

    async def listen(
        self, context: RequestContext, params: SubscriptionsListenRequestParams
    ) -> SubscriptionsListenResult:
        """Tells of entries until the client hangs up.

        The acknowledgement names the addresses that are watched: those of entries that the caller
        may read. The lists of tools, prompts and resources are not watched.
        """
        caller = self._dispatcher.caller_of(context)
        wanted = params.notifications.resource_subscriptions or []
        stream = _Stream()
        try:
            addresses = await self._find_all(caller, wanted)
            leaving = await self._watch(caller, addresses, stream.tell)
        except Exception as error:  # the boundary: every failure becomes an answer
            raise protocol_error(error, _LISTEN, context.protocol_version) from error
        watched = [uri for uri in wanted if any(uri in each for each in addresses.values())]
        honored = SubscriptionFilter(resource_subscriptions=watched or None)
        async with leaving:
            return await ListenHandler(stream)(
                context, params.model_copy(update={"notifications": honored})
            )

    async def subscribe(
        self, context: RequestContext, params: SubscribeRequestParams
    ) -> EmptyResult:
        """Tells this session of an entry until it unsubscribes; again is no error."""
        caller = self._dispatcher.caller_of(context)
        try:
            _check_number({*self._subscribed, params.uri})
            entry_id = await self._find(caller, params.uri)
            addresses: Addresses = {entry_id: frozenset({params.uri})}
            leaving = await self._watch(caller, addresses, context.session.send_resource_updated)
        except Exception as error:  # the boundary: every failure becomes an answer
            raise protocol_error(
                error, params.uri, context.protocol_version, uri=params.uri
            ) from error
        await self._end(params.uri)
        self._subscribed[params.uri] = leaving
        return EmptyResult()

    async def unsubscribe(
        self, _context: RequestContext, params: UnsubscribeRequestParams
    ) -> EmptyResult:
        """Ends a subscription; one that is not there is no error."""
        await self._end(params.uri)
        return EmptyResult()

    async def _end(self, uri: str) -> None:
        if (leaving := self._subscribed.pop(uri, None)) is not None:
            await leaving.aclose()

    async def _watch(self, caller: Caller, addresses: Addresses, tell: Tell) -> AsyncExitStack:
        """Watches until what it returns is closed."""
        if caller.only is not None:
            tell = self._until_it_leaves(caller, tell)
        async with AsyncExitStack() as leaving:
            await leaving.enter_async_context(
                self._watchers.watching(caller.agent, addresses, tell)
            )
            return leaving.pop_all()

    def _until_it_leaves(self, caller: Caller, tell: Tell) -> Tell:
        """Tells of entries in the diary that the caller's token is for, and once of their end."""
        left = set[str]()

        async def tell_within(uri: str) -> None:
            if uri in left:
                return
            try:
                await self._find(caller, uri)
            except NotFoundError:
                left.add(uri)
            await tell(uri)

        return tell_within

    async def _find(self, caller: Caller, uri: str) -> EntryId:
        async def ask(diary: Diary) -> EntryId:
            return await _find_entry(diary, caller, uri)

        return await self._dispatcher.admit(caller, "diary:read", uri, ask)

    async def _find_all(self, caller: Caller, uris: Collection[str]) -> Addresses:
        """The addresses by entry, without those that the caller may not read."""
        _check_number(uris)

        async def ask(diary: Diary) -> Addresses:
            found: defaultdict[EntryId | None, set[str]] = defaultdict(set)
            for uri in uris:
                try:
                    found[await _find_entry(diary, caller, uri)].add(uri)
                except (NotFoundError, InvalidArgumentError):
                    continue
            return {entry_id: frozenset(each) for entry_id, each in found.items()}

        return await self._dispatcher.admit(caller, "diary:read", _LISTEN, ask)


class _Stream:
    """A bus of the SDK's that carries what one caller may hear."""

    def __init__(self) -> None:
        self._listeners: list[Callable[[ServerEvent], None]] = []

    async def tell(self, uri: str) -> None:
        await self.publish(ResourceUpdated(uri))

    async def publish(self, event: ServerEvent) -> None:
        for listener in self._listeners:
            listener(event)

    def subscribe(self, listener: Callable[[ServerEvent], None]) -> Callable[[], None]:
        self._listeners.append(listener)
        return self._listeners.clear


async def _find_entry(diary: Diary, caller: Caller, uri: str) -> EntryId:
    reference = find_entry_reference(uri)
    if reference is None:
        raise NotFoundError(
            f"{uri!r} cannot be watched; the address of an entry can: diary://entries/ with its "
            "id, or a key of yours."
        )
    await require_within(diary, caller, reference)
    return await diary.watching.find(caller.agent, reference)


def _check_number(uris: Collection[str]) -> None:
    if len(uris) > _MAX_ADDRESSES:
        raise InvalidArgumentError(
            f"At most {_MAX_ADDRESSES} addresses can be watched at once; end some subscriptions."
        )
