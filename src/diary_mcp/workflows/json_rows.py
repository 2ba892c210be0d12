"""A workflow's row is data, never code.

DBOS reads a value with pickle whenever its row says so, whatever serializer is set, so whoever
can write the database could run code in every process that polls. Our inputs, outputs and errors
are JSON: pickle is taken out of DBOS before it reads a row, and no start goes on where it is not.
"""

import base64
import pickle
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from types import ModuleType
from typing import NoReturn

import structlog
from dbos import DBOSPortableJSONSerializer, Serializer
from dbos._serialization import deserialize_args, deserialize_exception, deserialize_value

_log: structlog.stdlib.BoundLogger = structlog.get_logger()

# Whatever DBOS reads of a row goes through one of these.
_READERS: tuple[Callable[[str, str | None, Serializer], object], ...] = (
    deserialize_args,
    deserialize_exception,
    deserialize_value,
)
# As a row names it, and the one module of DBOS that knows how to read it.
_PICKLE = "py_pickle"
_PICKLE_MODULE = deserialize_value.__module__
_SAMPLE = base64.b64encode(pickle.dumps("read")).decode()


class UnsafeDbosError(RuntimeError):
    """The installed DBOS could run what stands in the database."""


class RefusedRowError(ValueError):
    """A row holds something else than JSON."""


def read_rows_as_json() -> DBOSPortableJSONSerializer:
    """Takes pickle out of DBOS, for good and for this whole process; the serializer to set.

    DBOS ends a workflow that has such a row as failed.

    Raises:
        UnsafeDbosError: a row could still be read in another way.
    """
    for serializer in Serializer.__subclasses__():
        if serializer is not DBOSPortableJSONSerializer:
            serializer.deserialize = _refuse
    json = DBOSPortableJSONSerializer()
    _check(json)
    return json


def _refuse(cls: Serializer, serialized_data: str) -> NoReturn:  # noqa: ARG001  # DBOS's names
    if serialized_data != _SAMPLE:
        _log.error("workflow.row_refused")
    raise RefusedRowError("The row does not hold JSON; it was refused before it was decoded.")


def _check(json: Serializer) -> None:
    leaks = [
        read.__name__
        for read in _READERS
        if not _refuses(RefusedRowError, partial(read, _SAMPLE, _PICKLE, json))
        or not _refuses(ValueError, partial(read, _SAMPLE, None, json))
    ]
    # A copy: other threads import meanwhile.
    modules = sys.modules.copy().items()
    leaks += [name for name, it in modules if _imports_pickle(name, it) and name != _PICKLE_MODULE]
    if leaks:
        raise UnsafeDbosError(
            f"The installed DBOS could run code that stands in the database ({', '.join(leaks)});"
            " nothing was read. Install the version of dbos that diary-mcp asks for."
        )


def _refuses(error: type[ValueError], read: Callable[[], object]) -> bool:
    with suppress(error):
        read()
        return False
    return True


def _imports_pickle(name: str, module: ModuleType) -> bool:
    return name.partition(".")[0] == "dbos" and isinstance(
        getattr(module, "pickle", None), ModuleType
    )
