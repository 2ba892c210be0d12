"""Suggestions while somebody types: entries, tags, sessions, agents and groups."""

from diary_mcp.domain.fields import AgentName
from diary_mcp.service.ports.store import Store


class SuggestionService:
    """What begins with what was typed; own entries, tags and sessions, and everybody's names."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def list_entries(self, caller: AgentName, prefix: str, limit: int) -> list[str]:
        """Keys, or ids where there is no key or the id was begun; the newest entry first."""
        async with self._store.reading() as rows:
            references = await rows.suggestions.suggest_entries(caller, prefix, limit)
        return [
            each.key if each.key is not None and each.key.startswith(prefix) else str(each.id)
            for each in references
        ]

    async def list_tags(self, caller: AgentName, prefix: str, limit: int) -> list[str]:
        """The most used first."""
        async with self._store.reading() as rows:
            return [count["tag"] for count in await rows.entries.list_tags(caller, prefix, limit)]

    async def list_sessions(self, caller: AgentName, prefix: str, limit: int) -> list[str]:
        """The one written to last first."""
        async with self._store.reading() as rows:
            return await rows.suggestions.suggest_sessions(caller, prefix, limit)

    async def list_names(self, prefix: str, limit: int) -> list[str]:
        """Agents, and groups as group:NAME, in the order of the alphabet."""
        async with self._store.reading() as rows:
            return await rows.suggestions.suggest_names(prefix, limit)
