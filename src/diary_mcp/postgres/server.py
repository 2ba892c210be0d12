"""Starting and stopping the one server that all processes on a data directory share."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import psutil
import structlog

from diary_mcp.domain.errors import DatabaseUnavailableError
from diary_mcp.postgres import keeper
from diary_mcp.postgres.account import ServerAccount, server_account
from diary_mcp.postgres.binaries import ENVIRONMENT, find_programs, programs_major
from diary_mcp.postgres.cluster import NEXT_STEP, Cluster
from diary_mcp.postgres.configuration import write_configuration
from diary_mcp.postgres.creation import create_cluster
from diary_mcp.postgres.deadline import Deadline, OutOfTimeError
from diary_mcp.postgres.locks import FileLock, opened_lock
from diary_mcp.postgres.processes import (
    find_postmaster,
    has_lost_its_program,
    is_alive,
    kill_orphans,
    pid_file_path,
    read_pid_file,
)
from diary_mcp.postgres.server_log import ServerLog
from diary_mcp.postgres.sockets import (
    DATABASE,
    PORT,
    database_url,
    make_private_directory,
    socket_directory,
    socket_lock_path,
    socket_path,
)

_MAX_STARTS = 5

# Makes it nobody's child: it must outlive us, and a client that ends us with all our children must
# not end it for the others.
_DETACHED = '"$@" &'

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Server:
    """The server of a complete cluster. Only the holder of the start lock may change its state."""

    cluster: Cluster
    account: ServerAccount
    socket_dir: Path

    @property
    def url(self) -> str:
        return database_url(self.socket_dir, DATABASE)

    def find_postmaster(self) -> psutil.Process | None:
        return find_postmaster(self.cluster.directory)

    def ensure_running(self, deadline: Deadline) -> None:
        """Wait until the server can be used, starting it if there is none.

        Raises:
            DatabaseUnavailableError: It does not start, or not within the time that `deadline` has.
        """
        server_log = ServerLog(self.cluster.log)
        starts = 0
        refusal: str | None = None
        try:
            self._end_if_uninstalled(deadline)
            while (refusal := self._refusal()) is not None:
                postmaster = self.find_postmaster()
                if postmaster is not None:
                    self._end_if_unreachable(postmaster)
                elif starts == _MAX_STARTS:
                    raise self._unusable("does not start", server_log.complaints())
                elif self._start_unless_processes_remain(server_log, deadline):
                    starts += 1
                deadline.pause()
        except OutOfTimeError as error:
            reason = refusal or server_log.complaints()
            raise self._unusable("is not ready in time", reason) from error

    def _refusal(self) -> str | None:
        """Why the server cannot be used at the moment; None if it can."""
        # Asking one that is not ready yet, a hundred times a second, would fill its log.
        alive = self.find_postmaster() is not None
        if alive and not read_pid_file(self.cluster.directory).is_ready:
            return "it is still starting, recovering from a crash, or stopping"
        if not socket_path(self.socket_dir).exists():
            return "it does not listen"
        # Imports the driver: a server that has to be started comes up meanwhile.
        from diary_mcp.postgres.admission import find_refusal  # noqa: PLC0415

        return find_refusal(self.cluster, self.account, self.socket_dir)

    def _end_if_uninstalled(self, deadline: Deadline) -> None:
        """Stop a server whose installation is gone; whoever waits for it starts ours instead."""
        postmaster = self.find_postmaster()
        if postmaster is None or not has_lost_its_program(postmaster):
            return
        find_programs()
        log.warning("postgres.installation_missing", pid=postmaster.pid)
        _stop_fast(postmaster)
        while is_alive(postmaster):
            deadline.pause()

    def _end_if_unreachable(self, postmaster: psutil.Process) -> None:
        """Stop a server whose socket somebody cleaned away: nobody could reach it ever again."""
        found = read_pid_file(self.cluster.directory)
        if found.is_ready and found.socket_dir and not socket_path(found.socket_dir).exists():
            log.warning("postgres.socket_missing", pid=postmaster.pid)
            _stop_fast(postmaster)

    def _start_unless_processes_remain(self, server_log: ServerLog, deadline: Deadline) -> bool:
        with opened_lock(self.cluster.server_lock) as lock:
            if lock.try_exclusive():
                self._start(lock, server_log, deadline)
                return True
        for pid in kill_orphans(self.cluster.name, self.account.uid):
            log.warning("postgres.orphan_killed", pid=pid)
        return False

    def _start(self, lock: FileLock, server_log: ServerLog, deadline: Deadline) -> None:
        """Start the postmaster, which inherits `lock`, and wait until it says so or is gone."""
        self.account.check_usable()
        _check_version(self.cluster)
        write_configuration(self.cluster, self.cluster.directory, self.account)
        if self.socket_dir != self.cluster.directory:
            make_private_directory(self.socket_dir)  # a cleaner of old files may have been there
        for stale in (
            pid_file_path(self.cluster.directory),
            socket_lock_path(self.socket_dir),
            socket_path(self.socket_dir),
        ):
            stale.unlink(missing_ok=True)
        server_log.rotate()
        with server_log.opened() as output:
            started = subprocess.run(  # noqa: S603  # our own program and words
                ["/bin/sh", "-c", _DETACHED, "sh", *self._keeper(lock), *self._command()],
                cwd="/",
                check=True,
                encoding="ascii",
                env=ENVIRONMENT,
                pass_fds=(lock.fileno(),),
                start_new_session=True,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=output,
                timeout=10,
            )
        if not started.stdout:
            return  # the server's log says why
        pid = int(started.stdout)
        log.info("postgres.starting", pid=pid, directory=str(self.cluster.directory))
        with contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(pid)
            while is_alive(process) and read_pid_file(self.cluster.directory).pid != pid:
                deadline.pause()

    def _keeper(self, lock: FileLock) -> list[str]:
        arguments = [keeper.__file__, str(self.cluster.users_lock), str(lock.fileno())]
        return [sys.executable, "-I", "-S", *arguments]

    def _command(self) -> list[str]:
        quoted = str(self.socket_dir).replace('"', '""')
        settings = {
            "cluster_name": self.cluster.name,
            "listen_addresses": "",
            "port": str(PORT),
            "unix_socket_directories": f'"{quoted}"',
            "unix_socket_permissions": "0700",
        }
        program = str(find_programs() / "postgres")
        command = [*self.account.command_prefix, program, "-D", str(self.cluster.directory)]
        return [*command, *(f"--{name}={value}" for name, value in settings.items())]

    def _unusable(self, what: str, reason: str) -> DatabaseUnavailableError:
        return DatabaseUnavailableError(
            f"The embedded PostgreSQL in {self.cluster.directory} {what}: {reason}. Its log is "
            f"{self.cluster.log}. Try again once that is fixed. {NEXT_STEP}"
        )


def open_server(cluster: Cluster, deadline: Deadline) -> Server:
    """The server of `cluster`, which is made first if there is none.

    Only the holder of the start lock may call this.

    Raises:
        DatabaseUnavailableError: The cluster cannot be made, or is another account's.
    """
    exists = cluster.directory.exists()
    account = server_account(cluster.directory.stat().st_uid if exists else None)
    if exists:
        _check_owner(cluster, account)
    if not cluster.is_complete:
        account.check_usable()
        create_cluster(cluster, account, deadline)
    return Server(cluster, account, socket_directory(cluster))


def stop_server(cluster: Cluster, *, within_s: float) -> None:
    """Tell the server to stop, and give it a moment; whoever starts it next waits for the rest.

    Only the holder of the start lock may call this.
    """
    postmaster = find_postmaster(cluster.directory)
    if postmaster is None:
        return
    socket_dir = read_pid_file(cluster.directory).socket_dir
    _stop_fast(postmaster)
    deadline = time.monotonic() + within_s
    while is_alive(postmaster) and time.monotonic() < deadline:
        time.sleep(0.01)
    if socket_dir and socket_dir.name == cluster.name:
        with contextlib.suppress(OSError):
            socket_dir.rmdir()


def _stop_fast(postmaster: psutil.Process) -> None:
    with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
        postmaster.send_signal(signal.SIGINT)


def _check_owner(cluster: Cluster, account: ServerAccount) -> None:
    owner = cluster.directory.stat().st_uid
    if owner not in (account.uid, os.geteuid()):
        raise DatabaseUnavailableError(
            f"The database in {cluster.directory} belongs to another user (uid {owner}); here it "
            f"would be run by uid {account.uid}. Run diary-mcp as the user who made it. {NEXT_STEP}"
        )


def _check_version(cluster: Cluster) -> None:
    made_by = (cluster.directory / "PG_VERSION").read_text(encoding="ascii").strip()
    ours = programs_major()
    if made_by != ours:
        raise DatabaseUnavailableError(
            f"The database in {cluster.directory} was made by PostgreSQL {made_by}, and this "
            f"diary-mcp brings PostgreSQL {ours}. Run `diary-mcp backup FILE` with the diary-mcp "
            f"that made it, move {cluster.directory.parent} away, and run `diary-mcp restore FILE` "
            f"with this one. {NEXT_STEP}"
        )
