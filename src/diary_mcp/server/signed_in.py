"""Who calls over HTTP: the agent of the bearer token."""

from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from starlette.requests import HTTPConnection

from diary_mcp.domain.diaries import DiaryName
from diary_mcp.domain.entry import EntryDiary
from diary_mcp.domain.errors import ForbiddenError
from diary_mcp.domain.fields import AgentName
from diary_mcp.domain.scopes import DIARY_CLAIM, known_scopes
from diary_mcp.server.caller import Caller
from diary_mcp.server.dispatch import RequestContext


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
