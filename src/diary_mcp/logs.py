"""Logs: an event name and key-values, on stderr. stdout is the wire.

What an agent wrote never gets here. A failure is told by its type and place: the text of an
exception may quote a row, as PostgreSQL's "Failing row contains" does, or an argument.
"""

import logging
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import TextIO, cast

import structlog

_MAX_CHARACTERS = 20_000
# Of what psycopg knows about a failure, what names our own schema.
_POSTGRES_NAMES = ("constraint_name", "table_name", "column_name")

_QUIET_LIBRARIES = ("mcp", "dbos", "psycopg", "httpx", "httpcore")


def configure_logs(level: int) -> None:
    """Sends structlog and the libraries' logging to stderr: text on a terminal, else JSON."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _tell_failures_without_values,
    ]
    renderer = (
        structlog.dev.ConsoleRenderer()
        if sys.stderr.isatty()
        else structlog.processors.JSONRenderer()
    )
    # Not by way of logging, which costs more than all the rest of a line: there is one a call.
    structlog.configure(
        processors=[*shared, renderer],
        logger_factory=partial(_Lines, sys.stderr),
        wrapper_class=structlog.make_filtering_bound_logger(level),
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for library in _QUIET_LIBRARIES:
        logging.getLogger(library).setLevel(logging.WARNING)
    # Its warnings are about what clients send, and quote it.
    logging.getLogger("mcp").setLevel(logging.ERROR)
    logging.getLogger("mcp.server.sse").setLevel(logging.CRITICAL)
    sys.excepthook = _log_and_end
    sys.unraisablehook = _log_ignored


class _Lines:
    """Writes to stderr; nothing depends on whether anybody reads it."""

    def __init__(self, stderr: TextIO, *_: object) -> None:
        self._stderr = stderr

    def info(self, line: str) -> None:
        with suppress(OSError, ValueError):
            self._stderr.write(f"{line}\n")
            self._stderr.flush()

    debug = warning = error = critical = info


def describe_failure(error: BaseException) -> str:
    """What happened and where, without anything that the exception was told."""
    return "\n".join(_describe(error, set()))


def _describe(error: BaseException, told: set[int]) -> Iterator[str]:
    """The failure, after what led to it; nothing twice."""
    told.add(id(error))
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if before is not None and id(before) not in told:
        yield from _describe(before, told)
        yield "which led to:"
    yield from (line.rstrip() for line in traceback.format_tb(error.__traceback__))
    yield f"{type(error).__module__}.{type(error).__qualname__}{_particulars(error)}"
    for each in _parts(error):
        if id(each) not in told:
            yield "of which:"
            yield from _describe(each, told)


def _parts(error: BaseException) -> Sequence[BaseException]:
    return (
        cast("BaseExceptionGroup[BaseException]", error).exceptions
        if isinstance(error, BaseExceptionGroup)
        else ()
    )


def _particulars(error: BaseException) -> str:
    """What a failure says of itself that cannot come from a client."""
    if isinstance(error, OSError) and error.strerror is not None:
        return f" ({error.strerror})"
    state: object = getattr(error, "sqlstate", None)
    if not isinstance(state, str):
        return ""
    names = (getattr(getattr(error, "diag", None), name, None) for name in _POSTGRES_NAMES)
    return f" ({', '.join([state, *(name for name in names if isinstance(name, str))])})"


def _tell_failures_without_values(
    _logger: object, _method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """In place of structlog's own way to tell an exception, which tells its text."""
    match event.pop("exc_info", None):
        case BaseException() as error:
            pass
        case (_, BaseException() as error, _):
            pass
        case told:
            error = sys.exc_info()[1] if told else None
    if error is not None:
        event["exception"] = describe_failure(error)
    return {name: _shortened(value) for name, value in event.items()}


def _shortened(value: object) -> object:
    if not isinstance(value, str) or len(value) <= _MAX_CHARACTERS:
        return value
    return f"{value[:_MAX_CHARACTERS]}…"


def _log_and_end(
    kind: type[BaseException], error: BaseException, _trace: TracebackType | None
) -> None:
    """Tells what ends the process as any other failure is told."""
    if issubclass(kind, KeyboardInterrupt):
        return
    structlog.get_logger().critical("process.failed", exc_info=error)


def _log_ignored(failure: "sys.UnraisableHookArgs") -> None:
    """What goes wrong where nobody can catch it, as when a call is called off and cleared away."""
    structlog.get_logger().warning("failure.ignored", exc_info=failure.exc_value)
