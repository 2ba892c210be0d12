"""What the workflow runtime needs: the work to do, and the store, as narrow Protocols."""

from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol
from uuid import UUID

from diary_mcp.service.ports.workflows import PollRates, RelatedId
from diary_mcp.service.telemetry import Telemetry

Settle = Callable[[Sequence[RelatedId]], Awaitable[None]]
"""Makes the permission backend agree with the rows of these entries and diaries, or raises."""

Connect = Callable[[], object]
"""Opens a DB-API connection for DBOS, which is a `LastingConnection`; blocks."""

Expire = Callable[[UUID], Awaitable[None]]
"""Removes the signature request if its time is up."""


class LastingConnection(Protocol):
    """A connection that a pool keeps between uses."""

    def seems_alive(self) -> bool:
        """Whether it can be used without asking first; else it is opened anew."""
        ...


class Indexer(Protocol):
    """Keeps the search index up to date."""

    async def index_waiting(self) -> int:
        """Indexes everything that is not; how much that was."""
        ...

    async def request_if_waiting(self) -> int:
        """Puts the workflow on the queue if anything is left to index; how many, 1 or 0."""
        ...


class Work(NamedTuple):
    """What workflows do. Indexing and expiry are left to others where they are `None`."""

    settle: Settle
    indexer: Indexer | None = None
    expire: Expire | None = None


class Executor(Protocol):
    """This process, as the others see it: alive until its sign of life is gone.

    Raises (every method): DatabaseUnavailableError: the sign of life may be gone; `announce`
    gives it again.
    """

    async def announce(self) -> None:
        """Gives the sign of life (again), on a new connection."""
        ...

    async def watch(self, duration_s: float) -> None:
        """Waits for so long; raises at once when the sign of life is lost meanwhile."""
        ...

    async def take_over(self) -> Sequence[str]:
        """Puts running work of dead executors back on the queue; the ids of what it was.

        An executor is dead when it was silent at two calls in a row, so one that has just lost
        its connection has the time between them to give its sign again.
        """
        ...

    async def hand_back(self, *, running: Collection[str] = (), after_s: float) -> Sequence[str]:
        """Puts own work back that was not `running` at any call within so many seconds.

        No clock is asked that somebody could set.
        """
        ...

    async def end_unreadable(self) -> Sequence[str]:
        """Ends what was claimed and says that it is no JSON, as failed; the ids of what it was."""
        ...

    async def poll_rate(self, poll_rates: PollRates) -> str | None:
        """Has every process poll the permission queue at the poll_rate that fits what waits in it.

        `busy` while an entry has waited for a second, or a workflow that has nothing left to do
        for two; `burst` while many changes are made and all of them are settled at once, for ten
        minutes; else `idle`. Its name, where it is another one than before.
        """
        ...


class Executors(Protocol):
    def living(self, executor_id: str) -> AbstractAsyncContextManager[Executor]:
        """The executor `executor_id`, alive for as long as the block runs.

        Raises:
            DatabaseUnavailableError: PostgreSQL gives no answer in time.
        """
        ...


class Sweep(Protocol):
    async def sweep(self) -> int:
        """Puts on the queue what should be there and is not; how many entries that were.

        Does nothing while another process is at it.
        """
        ...


class Housekeeping(Protocol):
    async def tidy(self) -> int:
        """Removes what nobody needs any more; how many rows that were.

        Does nothing while another process is at it.
        """
        ...


@dataclass(frozen=True)
class RuntimeStore:
    """The store as the runtime needs it, and which chores on it are due when.

    The times are by a clock that nobody sets. They outlive what a process begins and ends, so that
    one that starts often does not do all of them at each start, nor any of them never.
    """

    executors: Executors
    sweep: Sweep
    housekeeping: Housekeeping
    chores_due: dict[str, float] = field(default_factory=dict[str, float])


class OpenRuntime(Protocol):
    """`workflow_runtime` with the DBOS of this process."""

    def __call__(
        self, store: RuntimeStore, work: Work, *, telemetry: Telemetry
    ) -> AbstractAsyncContextManager[str]: ...
