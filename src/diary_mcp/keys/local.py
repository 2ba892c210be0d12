"""Signing with the agent's key on this machine."""

from collections.abc import Sequence

import anyio.to_thread

from diary_mcp.domain.fields import AgentName
from diary_mcp.keys.key_files import AgentKeys
from diary_mcp.service.ports.chain import SigningKey


class LocalSigner:
    """`Signer` with the key files of one agent."""

    def __init__(self, keys: AgentKeys) -> None:
        self._keys = keys
        self._is_ready = False

    @property
    def agent(self) -> AgentName:
        return self._keys.agent

    async def keys(self) -> Sequence[SigningKey]:
        """As `Signer` says; the first time it imports what it needs, and may make the key."""
        if self._is_ready:
            # Looks only whether the files have changed.
            return self._keys.load()
        keys = await anyio.to_thread.run_sync(self._keys.load)
        self._is_ready = True
        return keys
