import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis.configuration import storage_directory

from support.paths import ROOT

OF_DBOS = ("dbos-destroy", "queue-worker-")
PROCESSES = {"subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.system", "os.exec"}
SOCKETS = {"socket.connect", "socket.bind", "socket.sendto", "socket.getaddrinfo"}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
# Bytecode is kept wherever Python keeps it.
WRITABLE = (
    tempfile.gettempdir(),
    os.environ.get("PYTEST_DEBUG_TEMPROOT", tempfile.gettempdir()),
    os.devnull,
    # What Hypothesis has read in the source: each worker would read it again in every run.
    str(storage_directory(intent_to_write=False).path),
)
BYTECODE = ".pyc"
CHECKOUT = f"{ROOT}{os.sep}"


class Guard:
    """Refuses what a unit test must not do, from when one begins until it ends."""

    def __init__(self) -> None:
        self.is_up = False
        self.others: set[int] = set()

    def look(self, event: str, arguments: tuple[object, ...]) -> None:
        if not self.is_up or threading.get_ident() in self.others:
            return
        if event in PROCESSES or event in SOCKETS:
            raise AssertionError(f"{event} in a unit test: it belongs under tests/integration.")
        if event == "open" and self._writes_elsewhere(*arguments):
            raise AssertionError(f"A unit test writes nothing outside tmp_path: {arguments[0]}")

    def _writes_elsewhere(self, path: object, _mode: object, flags: object) -> bool:
        if not isinstance(path, str | bytes) or not isinstance(flags, int) or not flags & WRITING:
            return False
        name = os.fsdecode(path)
        return not (_is_writable(name) or BYTECODE in Path(name).name)


def _is_writable(name: str) -> bool:
    """Whether it is in one of these places; one that holds the checkout does not count for it."""
    places = WRITABLE
    if name.startswith(CHECKOUT):
        places = tuple(place for place in WRITABLE if not CHECKOUT.startswith(place))
    return name.startswith(places)


GUARD = Guard()
sys.addaudithook(GUARD.look)


@pytest.fixture(autouse=True, scope="module")
def what_ended_before_has_ended() -> None:
    """Hypothesis takes random numbers that another thread draws for its own example's."""
    for thread in threading.enumerate():
        if thread.name.startswith(OF_DBOS):
            thread.join(60)
            assert not thread.is_alive(), f"{thread.name} of an earlier test still runs."


@pytest.fixture(autouse=True)
def nothing_but_memory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No process, no socket, and no file outside the folder for temporary ones."""
    del tmp_path_factory
    me = threading.get_ident()
    GUARD.others = {thread.ident or 0 for thread in threading.enumerate()} - {me}
    GUARD.is_up = True
    yield
    GUARD.is_up = False
