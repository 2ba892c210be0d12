"""Who is calling; imports no MCP, so that a hook is quick."""

from typing import TYPE_CHECKING, NamedTuple

from diary_mcp.domain.errors import ForbiddenError
from diary_mcp.domain.fields import AgentName
from diary_mcp.domain.scopes import TOKEN_SCOPES, TokenScope

if TYPE_CHECKING:
    from diary_mcp.domain.entry import EntryDiary, EntryFields


class Caller(NamedTuple):
    """An agent, with the scopes of its token; on stdio there is no token, and nothing is held back.

    Scopes narrow what the agent may ask for. Which entries it reaches is decided elsewhere.
    """

    agent: AgentName
    scopes: frozenset[TokenScope] = frozenset(TOKEN_SCOPES)
    session: str | None = None
    """That of entries which are written without one."""
    diary: str | None = None
    """The current one: where calls write and read that name none."""
    only: "EntryDiary | None" = None
    """The current one, where the token is for it alone: the caller reaches nothing else."""

    def name_of(self, entry: "EntryFields") -> str | None:
        """The diary of an entry as the caller names it; `None` where that goes without saying."""
        # There is a caller before `initialize` is answered, and no entry.
        from diary_mcp.domain.diaries import MAIN, DiaryName, parse_diary_name  # noqa: PLC0415

        diary = entry.diary
        if diary is None and self.diary is None:
            return None
        name = DiaryName(entry.owner, MAIN)
        if diary is not None:
            name = DiaryName(diary.owner, diary.name)
        if self.diary is None:
            return None if name == DiaryName(entry.owner, MAIN) else name.seen_by(self.agent)
        is_current = name == parse_diary_name(self.diary, self.agent)
        return None if is_current else name.seen_by(self.agent)

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
