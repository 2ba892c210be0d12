"""Who is calling, and what the way it signed in lets it do."""

from dataclasses import dataclass

from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.context import ServerRequestContext
from starlette.requests import HTTPConnection

from diary_mcp.domain.errors import ForbiddenError
from diary_mcp.domain.fields import AgentName
from diary_mcp.domain.tokens import TOKEN_SCOPES, TokenScope, known_scopes


@dataclass(frozen=True)
class Caller:
    """An agent, with the scopes of its token; on stdio there is no token, and nothing is held back.

    Scopes narrow what the agent may ask for. Which entries it reaches is decided elsewhere.
    """

    agent: AgentName
    scopes: frozenset[TokenScope] = frozenset(TOKEN_SCOPES)
    session: str | None = None
    """That of entries which are written without one."""

    def require(self, scope: TokenScope, what: str) -> None:
        """Makes sure that the caller may do `what`.

        Raises:
            ForbiddenError: its token lacks the scope.
        """
        if scope not in self.scopes:
            raise ForbiddenError(
                f"{what} needs a token with the scope {scope}; yours has "
                f"{', '.join(sorted(self.scopes)) or 'none'}. Go on without it, or ask the "
                "operator for another token."
            )


def signed_in_caller(context: ServerRequestContext[object], session: str | None = None) -> Caller:
    """The agent whose bearer token came with the HTTP request that is being answered.

    Raises:
        ForbiddenError: there was none. Bearer authentication lets no such request through.
    """
    request: object = context.request
    user: object = request.scope.get("user") if isinstance(request, HTTPConnection) else None
    if not isinstance(user, AuthenticatedUser) or user.access_token.subject is None:
        raise ForbiddenError("You are not signed in. Ask the operator for a token.")
    scopes = known_scopes(user.access_token.scopes)
    return Caller(AgentName(user.access_token.subject), scopes, session)
