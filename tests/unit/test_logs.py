"""What a log line may hold: what happened and where, never what an agent wrote."""

import io
import json
import logging
import sys
from collections.abc import Callable, Iterator

import psycopg
import pytest
import structlog
from pydantic import BaseModel

from diary_mcp.logs import configure_logs

SECRET = "the cat's name is Ada"  # what must not be told


class _Counted(BaseModel):
    count: int


def _read_no_number() -> None:
    _Counted.model_validate({"count": SECRET})


def _fail_after_another() -> None:
    try:
        _read_no_number()
    except ValueError as error:
        raise RuntimeError(SECRET) from error


def _fail_together() -> None:
    raise ExceptionGroup(SECRET, [KeyError(SECRET), psycopg.errors.CheckViolation(SECRET)])


FAILURES: dict[str, Callable[[], None]] = {
    "ValidationError": _read_no_number,
    "RuntimeError": _fail_after_another,
    "CheckViolation": _fail_together,
}


@pytest.fixture
def stderr(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """Where the logs go, set up as a server sets them up."""
    root, hooks = logging.getLogger(), (sys.excepthook, sys.unraisablehook)
    handlers, level = root.handlers[:], root.level
    written = io.StringIO()
    monkeypatch.setattr(sys, "stderr", written)
    configure_logs(logging.INFO)
    yield written
    sys.excepthook, sys.unraisablehook = hooks
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def _log_by_structlog(error: Exception) -> None:
    structlog.get_logger().exception("it.failed", exc_info=error)


def _log_by_the_library(error: Exception) -> None:
    logging.getLogger("some.library").error("It failed.", exc_info=error)


def _end_the_process(error: Exception) -> None:
    sys.excepthook(type(error), error, error.__traceback__)


def _fail_as_garbage(error: Exception) -> None:
    class Garbage:
        def __del__(self) -> None:
            raise error

    Garbage()


@pytest.mark.parametrize(
    "tell", [_log_by_structlog, _log_by_the_library, _end_the_process, _fail_as_garbage]
)
@pytest.mark.parametrize("kind", FAILURES)
def test_a_failure_is_told_by_its_type_and_place_and_not_by_its_text(
    stderr: io.StringIO, kind: str, tell: Callable[[Exception], None]
) -> None:
    try:
        FAILURES[kind]()
    except Exception as error:  # noqa: BLE001  # whatever it is
        tell(error)

    (line,) = stderr.getvalue().splitlines()
    exception = json.loads(line)["exception"]
    assert kind in exception
    assert FAILURES[kind].__name__ in exception
    assert "Ada" not in line


def test_a_failure_of_postgresql_is_told_by_its_code(stderr: io.StringIO) -> None:
    _log_by_structlog(psycopg.errors.CheckViolation(SECRET))

    assert json.loads(stderr.getvalue())["exception"] == "psycopg.errors.CheckViolation (23514)"


def test_a_value_without_end_is_cut(stderr: io.StringIO) -> None:
    structlog.get_logger().info("it.happened", why="x" * 1_000_000)

    assert len(stderr.getvalue()) < 30_000
