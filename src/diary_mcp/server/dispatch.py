"""What every request needs first: the diary, and an agent that may ask for this."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol, TypeVar

import anyio
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.shared.exceptions import MCPError
from pydantic import ValidationError
from starlette.requests import HTTPConnection

from diary_mcp.domain.diaries import DiaryName
from diary_mcp.domain.entry import EntryDiary
from diary_mcp.domain.errors import (
    DiaryNotFoundError,
    ForbiddenError,
    NotFoundError,
    UnavailableError,
)
from diary_mcp.domain.fields import AgentName
from diary_mcp.domain.tokens import DIARY_CLAIM, TokenScope, known_scopes
from diary_mcp.server.caller import Caller
from diary_mcp.server.errors import refusal
from diary_mcp.service.diary import Diary

REQUEST_TIMEOUT_S = 30
# Longer, because the first start makes a database; less than the minute that clients often wait.
_START_TIMEOUT_S = 45

RequestContext = ServerRequestContext[object]


CallerOf = Callable[[RequestContext], Caller]
Answer = TypeVar("Answer")


class DiaryProvider(Protocol):
    async def __call__(self) -> Diary:
        """The diary, as soon as it is up.

        Raises:
            UnavailableError: it is not, and why.
        """
        ...


def signed_in_caller(
    context: RequestContext, session: str | None = None, diary: str | None = None
) -> Caller:
    """The agent whose bearer token came with the HTTP request that is being answered.

    Raises:
        ForbiddenError: there was none. Bearer authentication lets no such request through.
    """
    request: object = context.request
    user: object = request.scope.get("user") if isinstance(request, HTTPConnection) else None
    if not isinstance(user, AuthenticatedUser) or user.access_token.subject is None:
        raise ForbiddenError("You are not signed in. Ask the operator for a token.")
    agent = AgentName(user.access_token.subject)
    scopes = known_scopes(user.access_token.scopes)
    only: object = (user.access_token.claims or {}).get(DIARY_CLAIM)
    if isinstance(only, EntryDiary):
        name = DiaryName(only.owner, only.name).seen_by(agent)
        return Caller(agent, scopes, session, name, only)
    return Caller(agent, scopes, session, diary)


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

    async def admit(
        self,
        caller: Caller,
        scope: TokenScope,
        what: str,
        ask: Callable[[Diary], Awaitable[Answer]],
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
                await diary.agents.register(caller.agent)
                return await ask(diary)
        except DiaryNotFoundError as error:
            if caller.only is None:
                raise
            raise NotFoundError(
                f"Your token is for the diary {caller.diary} alone, and you may not read it any "
                "more. Ask its owner, or the operator for another token."
            ) from error
        except TimeoutError as error:
            raise UnavailableError(
                f"{what} took longer than {REQUEST_TIMEOUT_S} s. Try again in a moment; look "
                "first whether a change was made."
            ) from error

    async def _come_up(self, what: str) -> Diary:
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


def _counted(diary: Diary, scope: TokenScope) -> AbstractContextManager[None]:
    return nullcontext() if scope == "diary:read" else diary.activity.change()
