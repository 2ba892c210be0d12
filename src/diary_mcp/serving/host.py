"""Brings the diary up behind a server that answers already.

`diary_mcp.app` is imported late and in a thread: the answer to `initialize` must not wait for the
database driver and everything behind it.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from importlib import import_module
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
import structlog

from diary_mcp.domain.errors import DiaryError, UnavailableError
from diary_mcp.lasting_imports import lasting_imports
from diary_mcp.opening import start_postgres
from diary_mcp.service.telemetry import NO_TELEMETRY, Telemetry
from diary_mcp.settings import Settings
from diary_mcp.transport.http.health import Readiness

if TYPE_CHECKING:
    from diary_mcp.app import Foundation
    from diary_mcp.service.agents.tokens import TokenService
    from diary_mcp.service.diary import Diary
    from diary_mcp.service.ports.workflows import Duty
    from diary_mcp.store.takeover import PostgresStandby

_log = structlog.get_logger()

_RETRY_S = 1.0
_LOOK_S = 2.0
# Work of a killed process is to be taken over within five seconds.
_LOOK_AT_WORK_S: dict["Duty", float] = {"run": 1.0, "watch": 2.0}
# Its own work a process knows of at once, but the answers to the calls that made it come first.
_AFTER_COMMIT_S = 0.5
# A client that has not said anything by then is not kept waiting either.
_FIRST_WORD_S = 0.5
# Nor do workflows wait for a call that takes long, or for ever new ones.
_FIRST_CALLS_S = 1.0


class DiaryHost:
    """Opens the diary in the background, keeps it open, and hands it to whoever waits."""

    def __init__(
        self,
        settings: Settings,
        telemetry: Telemetry = NO_TELEMETRY,
        *,
        with_keys: bool = False,
    ) -> None:
        self._settings = settings
        self._telemetry = telemetry
        self._with_keys = with_keys
        self._told = anyio.Event()
        self._foundation: Foundation | None = None
        self._failure: UnavailableError | None = None
        self._workflows_are_running = False

    async def __call__(self) -> "Diary":
        """The diary; waits while it comes up for the first time.

        Raises:
            UnavailableError: coming up failed, and why. It is tried again all the time.
        """
        return (await self._opened()).diary

    async def tokens(self) -> "TokenService":
        """The agents' tokens; waits, and raises, as for the diary."""
        return (await self._opened()).tokens

    async def look(self) -> Readiness:
        """What answers at this moment; never raises, and never takes long."""
        foundation = self._foundation
        if foundation is None:
            return Readiness(database=False, permission_backend=False, workflows=False)
        return Readiness(
            database=await _answers(foundation.database.check),
            permission_backend=await _answers(foundation.permissions.check_ready),
            workflows=self._workflows_are_running,
        )

    async def came_up(self) -> None:
        """Returns once the diary is up, or why it is not is known."""
        await self._told.wait()

    async def finish(self, hurried: anyio.Event) -> None:
        """What is worth a moment before the end; to be called when no call comes any more.

        A shorter one once somebody is `hurried`, and none where another process does it.
        """
        if self._foundation is not None:
            await self._foundation.eager_indexing.finish(hurried)

    async def run(
        self, first_answer: anyio.Event, wait_until_idle: Callable[[], Awaitable[None]]
    ) -> None:
        """Runs until it is cancelled; a backend that is down is tried again and again.

        Starts after the first answer, so that it does not compete with it for the processor, and
        workflows after the answers to the calls that have waited for the diary.
        """
        with anyio.move_on_after(_FIRST_WORD_S):
            await first_answer.wait()
        while True:
            try:
                async with self._open_foundation() as foundation:
                    self._foundation = foundation
                    self._told.set()
                    _log.info("diary.up", **vars(foundation.diary.backends))
                    # What settles must not wait for DBOS, nor depend on it.
                    async with _import_app().settle_beside_queue(foundation):
                        with anyio.move_on_after(_FIRST_CALLS_S):
                            await wait_until_idle()
                        await self._keep_workflows_running(foundation)
            except UnavailableError as error:
                _log.warning("diary.down", reason=str(error))
                self._failure = error
                self._told.set()
                await anyio.sleep(_RETRY_S)

    @asynccontextmanager
    async def _open_foundation(self) -> AsyncGenerator["Foundation"]:
        """Everything is imported while the embedded PostgreSQL starts, and then answers."""
        async with start_postgres(self._settings) as ready:
            migrating = await anyio.to_thread.run_sync(_import_migrating)

            async def migrate() -> str:
                return await migrating.migrate_to_serve(await ready(), self._settings)

            url, app = await asyncio.gather(migrate(), anyio.to_thread.run_sync(_import_app))
            async with app.lay_foundation(
                url, self._settings, self._telemetry, with_keys=self._with_keys
            ) as foundation:
                yield foundation

    async def _opened(self) -> "Foundation":
        if self._foundation is None:
            await self._told.wait()
        if self._foundation is None:
            raise self._failure or UnavailableError("The diary is closing; start it again.")
        return self._foundation

    async def _keep_workflows_running(self, foundation: "Foundation") -> None:
        """Does what falls to this process: runs workflows, watches for work, or rests."""
        app = _import_app()
        doing = {"run": app.run_queue, "watch": app.watch_queue, "rest": app.leave_queue}
        async with app.standing_by(foundation) as standby:
            while True:
                try:
                    duty = await standby.look()
                    async with doing[duty](foundation):
                        _log.info("workflows.up", duty=duty)
                        self._workflows_are_running = True
                        await _while_it_is(duty, standby, foundation.eager_settlement.noted)
                except UnavailableError as error:
                    _log.warning("workflows.down", reason=str(error))
                    self._workflows_are_running = False
                    await anyio.sleep(_RETRY_S)


async def _while_it_is(duty: "Duty", standby: "PostgresStandby", noted: asyncio.Event) -> None:
    """Returns when another duty falls to this process.

    Raises:
        DatabaseUnavailableError: PostgreSQL does not answer. No reason to end workflows that run:
            they wait for the end of an outage by themselves.
    """
    found = duty
    while found == duty:
        if duty == "rest":
            await standby.rest()
        else:
            await _pause(duty, noted)
        try:
            found = await standby.look()
        except UnavailableError:
            if duty != "run":
                raise


async def _pause(duty: "Duty", noted: asyncio.Event) -> None:
    with anyio.move_on_after(_LOOK_AT_WORK_S[duty]):
        if duty != "watch":
            await anyio.sleep_forever()
        await noted.wait()
        noted.clear()
        await anyio.sleep(_AFTER_COMMIT_S)


async def _answers(check: Callable[[], Awaitable[None]]) -> bool:
    try:
        with anyio.fail_after(_LOOK_S):
            await check()
    except (DiaryError, TimeoutError):
        return False
    return True


def _import_migrating():  # noqa: ANN202  # inferred: a module
    with lasting_imports():
        # Whole, before any part of it, as the thread does that has started PostgreSQL: where one of
        # two has begun with a part, each may wait for the other, and Python lets an import fail.
        import_module("psycopg")
        from diary_mcp import migrating  # noqa: PLC0415  # late, see above

    return migrating


def _import_app():  # noqa: ANN202  # inferred: a module
    with lasting_imports():
        from diary_mcp import app  # noqa: PLC0415  # late, see above

    return app
