"""Every agent that calls a tool becomes known, so that others can share with it."""

from dataclasses import dataclass, field

from diary_mcp.domain.fields import AgentName
from diary_mcp.service.ports.store import Store


@dataclass(frozen=True)
class AgentRegistry:
    """Makes every agent known that calls a tool, so that others can share with it."""

    _store: Store
    # Agents are never removed, so what was registered once needs no second statement.
    _registered: set[AgentName] = field(default_factory=set[AgentName])

    async def register(self, agent: AgentName) -> None:
        """Raises: DatabaseUnavailableError: PostgreSQL gives no answer in time."""
        if agent in self._registered:
            return
        async with self._store.reading() as rows:
            await rows.agents.register(agent)
        self._registered.add(agent)
