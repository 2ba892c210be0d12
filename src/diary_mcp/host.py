"""Brings the diary up behind a server that answers already.

`diary_mcp.app` is imported late and in a thread: the answer to `initialize` must not wait for the
database driver and everything behind it.
"""

from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
import structlog

from diary_mcp.domain.errors import UnavailableError
from diary_mcp.service.diary import Diary
from diary_mcp.settings import Settings

if TYPE_CHECKING:
    from diary_mcp.app import Foundation

_log = structlog.get_logger()

_RETRY_S = 1.0
# A client that has not said anything by then is not kept waiting either.
_FIRST_WORD_S = 0.5


class DiaryHost:
    """Opens the diary in the background, keeps it open, and hands it to whoever waits."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._told = anyio.Event()
        self._diary: Diary | None = None
        self._failure: UnavailableError | None = None

    async def __call__(self) -> Diary:
        """The diary; waits while it comes up for the first time.

        Raises:
            UnavailableError: coming up failed, and why. It is tried again all the time.
        """
        await self._told.wait()
        if self._diary is None:
            raise self._failure or UnavailableError("The diary is closing; start it again.")
        return self._diary

    async def run(self, first_answer: anyio.Event) -> None:
        """Runs until it is cancelled; a backend that is down is tried again and again.

        Starts after the first answer, so that it does not compete with it for the processor.
        """
        with anyio.move_on_after(_FIRST_WORD_S):
            await first_answer.wait()
        app = await anyio.to_thread.run_sync(_import_app)
        while True:
            try:
                async with app.open_foundation(self._settings) as foundation:
                    self._diary = foundation.diary
                    self._told.set()
                    _log.info("diary.up", **vars(foundation.diary.backends))
                    await _keep_workflows_running(foundation)
            except UnavailableError as error:
                _log.warning("diary.down", reason=str(error))
                self._failure = error
                self._told.set()
                await anyio.sleep(_RETRY_S)


async def _keep_workflows_running(foundation: "Foundation") -> None:
    app = _import_app()
    while True:
        try:
            async with app.run_workflows(foundation):
                _log.info("workflows.up")
                await anyio.sleep_forever()
        except UnavailableError as error:
            _log.warning("workflows.down", reason=str(error))
            await anyio.sleep(_RETRY_S)


def _import_app():  # noqa: ANN202  # inferred: a module
    from diary_mcp import app  # noqa: PLC0415  # late, see above

    return app
