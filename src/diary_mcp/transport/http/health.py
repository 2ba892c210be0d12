"""`/health` and `/ready`: for whoever watches the server, not for agents. Neither says a secret."""

from collections.abc import Awaitable, Callable
from time import monotonic
from typing import NamedTuple

import anyio
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

_FRESH_S = 0.5
_UNCACHED = {"Cache-Control": "no-store"}


class Readiness(NamedTuple):
    """What answers at this moment."""

    database: bool
    permission_backend: bool
    workflows: bool

    @property
    def is_complete(self) -> bool:
        return self.database and self.permission_backend and self.workflows


def health_routes(look: Callable[[], Awaitable[Readiness]]) -> list[Route]:
    """The two routes; `look` finds out what answers."""
    ready = _Ready(look)

    async def tell_health(_request: Request) -> JSONResponse:
        return JSONResponse({"alive": True}, headers=_UNCACHED)

    async def tell_ready(_request: Request) -> JSONResponse:
        readiness = await ready.look()
        return JSONResponse(
            {"ready": readiness.is_complete, **readiness._asdict()},
            status_code=200 if readiness.is_complete else 503,
            headers=_UNCACHED,
        )

    return [
        Route("/health", tell_health, methods=["GET"]),
        Route("/ready", tell_ready, methods=["GET"]),
    ]


class _Ready:
    """Looks once for all who ask at the same time: anybody may ask, as often as they like."""

    def __init__(self, look: Callable[[], Awaitable[Readiness]]) -> None:
        self._look = look
        self._looking = anyio.Lock()
        self._looked_at = 0.0
        self._found = Readiness(database=False, permission_backend=False, workflows=False)

    async def look(self) -> Readiness:
        async with self._looking:
            if monotonic() - self._looked_at > _FRESH_S:
                self._found = await self._look()
                self._looked_at = monotonic()
            return self._found
