"""One user's stay at the server that several processes share, kept by a thread of its own."""

import contextlib
import threading
from collections.abc import Generator
from concurrent.futures import Future
from pathlib import Path

import psutil
import structlog

from diary_mcp.domain.errors import DatabaseUnavailableError
from diary_mcp.postgres.cluster import NEXT_STEP, Cluster, prepare_cluster, system_errors_named
from diary_mcp.postgres.deadline import CalledOffError, Deadline, OutOfTimeError
from diary_mcp.postgres.locks import FileLock, opened_lock
from diary_mcp.postgres.processes import has_lost_its_program
from diary_mcp.postgres.server import Server, open_server, stop_server

_START_TIMEOUT_S = 60.0
# For what nobody tells: an installation that has gone. Every server looks, so not often.
_WATCH_INTERVAL_S = 15.0
_RETRY_INTERVAL_S = 5.0
# Together what leaving may cost: an MCP client kills a server two seconds after it hung up.
_LOCK_PATIENCE_S = 0.5
_STOP_PATIENCE_S = 1.0

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class ServerLease:
    """From `start` on until `leave`, the server is kept running for us.

    Everything that blocks happens in a thread, start to end, so that no cancellation of a caller
    can leave a lock behind.
    """

    def __init__(self, data_dir: Path) -> None:
        self.ready: Future[str] = Future()
        """The URL of the database; pending for good if `leave` came first."""
        self.ended: Future[None] = Future()
        self._data_dir = data_dir
        self._leaving = threading.Event()
        self._stirred = threading.Event()
        """There is something to look at: the server has ended, or we are leaving."""

    def start(self) -> None:
        # Running futures refuse to be cancelled by whoever stops waiting for them.
        self.ready.set_running_or_notify_cancel()
        self.ended.set_running_or_notify_cancel()
        threading.Thread(target=self._run, name="embedded-postgres", daemon=True).start()

    def leave(self) -> None:
        self._leaving.set()
        self._stirred.set()

    def _run(self) -> None:
        try:
            with system_errors_named(self._data_dir):
                self._stay()
        except Exception as error:
            if self.ready.done():
                log.exception("postgres.lease_failed")
            else:
                self.ready.set_exception(error)
        finally:
            self.ended.set_result(None)

    def _stay(self) -> None:
        cluster = prepare_cluster(self._data_dir)
        with opened_lock(cluster.users_lock) as users:
            # A failed start leaves the server alone: a long crash recovery may be going on.
            with contextlib.suppress(CalledOffError):
                server = self._join(cluster, users)
                self.ready.set_result(server.url)
                self._watch(server)
            _part(cluster, users)

    def _join(self, cluster: Cluster, users: FileLock) -> Server:
        deadline = Deadline(_START_TIMEOUT_S, self._leaving)
        with _start_lock_held(cluster, deadline):
            users.wait_shared(deadline)
            server = open_server(cluster, deadline)
            server.ensure_running(deadline)
        return server

    def _watch(self, server: Server) -> None:
        """Start the server again whenever it died, or lost its installation, under its users."""
        watched: psutil.Process | None = None
        failure = ""
        while not self._leaving.is_set():
            postmaster = server.find_postmaster()
            if postmaster is not None and not has_lost_its_program(postmaster):
                if postmaster != watched:
                    watched = postmaster
                    self._tell_end_of(postmaster)
                self._stirred.wait(_WATCH_INTERVAL_S)
                self._stirred.clear()
                continue
            try:
                self._restart(server)
                failure = ""
            except DatabaseUnavailableError as error:
                if str(error) != failure:
                    log.exception("postgres.restart_failed")
                failure = str(error)
                self._leaving.wait(_RETRY_INTERVAL_S)

    def _restart(self, server: Server) -> None:
        with system_errors_named(self._data_dir):
            deadline = Deadline(_START_TIMEOUT_S, self._leaving)
            with _start_lock_held(server.cluster, deadline):
                server.ensure_running(deadline)

    def _tell_end_of(self, postmaster: psutil.Process) -> None:
        """Have the watch look at once when it ends. The kernel tells; nothing polls."""

        def wait() -> None:
            postmaster.wait()
            self._stirred.set()

        threading.Thread(target=wait, name="postmaster-end", daemon=True).start()


def _part(cluster: Cluster, users: FileLock) -> None:
    """Stop using the server, and stop it if nobody else uses it."""
    with opened_lock(cluster.start_lock) as start_lock:
        try:
            start_lock.wait_exclusive(Deadline(_LOCK_PATIENCE_S, threading.Event()))
        except OutOfTimeError:
            return  # whoever is busy starting it also uses it
        if users.try_exclusive():
            stop_server(cluster, within_s=_STOP_PATIENCE_S)


@contextlib.contextmanager
def _start_lock_held(cluster: Cluster, deadline: Deadline) -> Generator[None]:
    with opened_lock(cluster.start_lock) as start_lock:
        try:
            start_lock.wait_exclusive(deadline)
        except OutOfTimeError as error:
            raise DatabaseUnavailableError(
                f"Another diary-mcp has been busy starting the PostgreSQL in {cluster.directory} "
                f"all this time. Its log is {cluster.log}. Try again, or end that process. "
                f"{NEXT_STEP}"
            ) from error
        yield
