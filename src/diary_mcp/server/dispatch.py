"""What every request needs first: who answers it, the diary, and an agent that may ask for this."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Protocol, TypeVar

import anyio
import anyio.to_thread
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.shared.exceptions import MCPError
from pydantic import ValidationError

from diary_mcp.domain.errors import (
    DiaryNotFoundError,
    NotFoundError,
    UnavailableError,
)
from diary_mcp.domain.fields import AgentName
from diary_mcp.domain.scopes import TokenScope
from diary_mcp.lasting_imports import lasting_imports
from diary_mcp.server.caller import Caller
from diary_mcp.server.errors import refusal

if TYPE_CHECKING:
    from diary_mcp.server.handlers import Handlers
    from diary_mcp.server.resources.watchers import Watchers
    from diary_mcp.service.diary import Diary

REQUEST_TIMEOUT_S = 30
# Longer, because the first start makes a database; less than the minute that clients often wait.
_START_TIMEOUT_S = 45

RequestContext = ServerRequestContext[object]


CallerOf = Callable[[RequestContext], Caller]
Answer = TypeVar("Answer")
_Params = TypeVar("_Params")
_Result = TypeVar("_Result")


class DiaryProvider(Protocol):
    async def __call__(self) -> "Diary":
        """The diary, as soon as it is up.

        Raises:
            UnavailableError: it is not, and why.
        """
        ...


async def explain_refusals(ctx: RequestContext, call_next: CallNext) -> HandlerResult:
    """Says what is wrong with a request that the SDK refuses; a server's middleware."""
    try:
        return await call_next(ctx)
    except (ValidationError, MCPError) as error:
        refused = refusal(error, ctx.method)
        if refused is None:
            raise
        raise refused from error


class Dispatcher:
    """Lets callers to the diary, which may still be coming up."""

    def __init__(
        self,
        provide: DiaryProvider,
        caller_of: CallerOf,
        *,
        start_timeout_s: float = _START_TIMEOUT_S,
    ) -> None:
        self._provide = provide
        self.caller_of = caller_of
        self._start_timeout_s = start_timeout_s
        self._was_up = False
        # Once is enough: one that was removed meanwhile begins anew with what it writes first.
        self._let_in: set[AgentName] = set()

    async def admit(
        self,
        caller: Caller,
        scope: TokenScope,
        what: str,
        ask: Callable[["Diary"], Awaitable[Answer]],
    ) -> Answer:
        """What `ask` gives; `what` names it to the caller where it fails.

        Raises:
            ForbiddenError: the caller's token lacks the scope.
            UnavailableError: the diary is not up, or the answer took too long.
            DiaryError: as the use case tells.
        """
        caller.require(scope, what)
        diary = await self._come_up(what)
        try:
            with anyio.fail_after(REQUEST_TIMEOUT_S), _counted(diary, scope):
                if caller.agent not in self._let_in:
                    await diary.agents.register(caller.agent)
                    self._let_in.add(caller.agent)
                return await ask(diary)
        except DiaryNotFoundError as error:
            if caller.only is None:
                raise
            raise NotFoundError(
                f"Your token is for the diary {caller.diary} alone, and you may not read it any "
                "more. Ask its owner to share it again, or the operator for another token."
            ) from error
        except TimeoutError as error:
            raise UnavailableError(
                f"{what} took longer than {REQUEST_TIMEOUT_S} s. Try again in a moment; look "
                "first whether a change was made."
            ) from error

    async def _come_up(self, what: str) -> "Diary":
        if self._was_up:
            return await self._provide()
        try:
            with anyio.fail_after(self._start_timeout_s):
                diary = await self._provide()
                self._was_up = True
                return diary
        except TimeoutError as error:
            raise UnavailableError(
                f"The diary is still starting, so {what} was not begun. Try again in a moment."
            ) from error


def _counted(diary: "Diary", scope: TokenScope) -> AbstractContextManager[None]:
    return nullcontext() if scope == "diary:read" else diary.activity.change()


class LazyHandlers:
    """The handlers of one server, imported with the first request that needs one of them.

    `initialize` needs none, and they take a quarter as long to import as the SDK does.
    """

    def __init__(self, dispatcher: Dispatcher, watchers: "Watchers", *, has_keys: bool) -> None:
        self._make = lambda: _import_handlers().make_handlers(
            dispatcher, watchers, has_keys=has_keys
        )
        self._made: Handlers | None = None

    async def __call__(self) -> "Handlers":
        if self._made is None:
            await anyio.to_thread.run_sync(_import_handlers)
            # Who waited for the import meanwhile may have been quicker.
            self._made = self._made or self._make()
        return self._made

    def handler(
        self, find: Callable[["Handlers"], Callable[[RequestContext, _Params], Awaitable[_Result]]]
    ) -> Callable[[RequestContext, _Params], Awaitable[_Result]]:
        """Answers as the one does that `find` finds among them, once."""
        found: Callable[[RequestContext, _Params], Awaitable[_Result]] | None = None

        async def handle(context: RequestContext, params: _Params) -> _Result:
            nonlocal found
            if found is None:
                found = find(await self())
            return await found(context, params)

        return handle

    async def answer_plainly(self, ctx: RequestContext, call_next: CallNext) -> HandlerResult:
        """A call of a tool as `ToolCalls` does; the innermost middleware.

        Until there are handlers, the SDK is asked at once whether it may come before `initialize`.
        """
        if self._made is None or ctx.method != "tools/call":
            return await call_next(ctx)
        return await self._made.tools.answer_plainly(ctx, call_next)


def _import_handlers():  # noqa: ANN202  # inferred: a module
    with lasting_imports():
        from diary_mcp.server import handlers  # noqa: PLC0415  # late, see above

    return handlers
