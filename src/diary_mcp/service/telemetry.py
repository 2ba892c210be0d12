"""What the diary tells whoever observes it: spans and measures, never content or tokens.

Names and attributes are ours to choose; what a client made up does not get into them.
"""

from collections.abc import Generator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

Attributes = Mapping[str, str | int]


class Span(Protocol):
    """Something that takes a while, as one part of a trace."""

    def fail(self, kind: str) -> None:
        """Marks it as failed; the first kind that is told stays."""
        ...


class Telemetry(Protocol):
    @property
    def is_on(self) -> bool:
        """Whether anybody observes."""
        ...

    def span(
        self, name: str, attributes: Attributes, *, parent: str | None = None
    ) -> AbstractContextManager[Span]:
        """A span for as long as the block runs; one that raises has failed.

        Args:
            name: few and fixed: observers group by it.
            attributes: what else may be told.
            parent: a W3C `traceparent` of another process, for where there is no span around.
        """
        ...

    @property
    def trace_parent(self) -> str | None:
        """The span around, as a W3C `traceparent` with which another process goes on."""
        ...

    def count_call(self, tool: str, outcome: str, duration_s: float) -> None:
        """A tool was called; `outcome` is `ok` or the code of an error."""
        ...

    def count_settling(self, latency_s: float) -> None:
        """The permission backend agrees with a change that was made so long ago."""
        ...

    def tell_backlog(self, *, pending: int, failed: int) -> None:
        """How many entries the permission backend does not agree with, and how many it refuses."""
        ...


class _Silence:
    """Nobody observes."""

    is_on = False
    trace_parent = None

    @contextmanager
    def span(
        self, name: str, attributes: Attributes, *, parent: str | None = None
    ) -> Generator[Span]:
        del name, attributes, parent
        yield self

    def fail(self, kind: str) -> None:
        del kind

    def count_call(self, tool: str, outcome: str, duration_s: float) -> None:
        del tool, outcome, duration_s

    def count_settling(self, latency_s: float) -> None:
        del latency_s

    def tell_backlog(self, *, pending: int, failed: int) -> None:
        del pending, failed


NO_TELEMETRY: Telemetry = _Silence()
