"""The postmaster's parent: stops it once nobody uses it, whatever became of its users.

Run by its path and on its own: it imports nothing of ours, so that it stays small, and goes on when
the installation is gone. It sleeps in the kernel until the last user has left or was killed.

    keeper.py USERS_LOCK SERVER_LOCK_FD COMMAND…

prints the postmaster's pid.
"""

import fcntl
import os
import signal
import subprocess
import sys
from types import FrameType
from typing import NoReturn


def main(users_lock: str, server_lock: int, command: list[str]) -> None:
    """Starts the postmaster, which inherits `server_lock`, and stays until it has ended."""
    users = os.open(users_lock, os.O_RDONLY)
    # A client that ends its server ends all the children too: the postmaster is not of their group.
    postmaster = subprocess.Popen(  # noqa: S603  # what our server.py says
        command, stdin=subprocess.DEVNULL, stdout=sys.stderr, pass_fds=(server_lock,)
    )
    # Of the server's own processes only: they are what the lock is about.
    os.close(server_lock)
    signal.signal(signal.SIGCHLD, _end)
    sys.stdout.write(f"{postmaster.pid}\n")
    sys.stdout.close()
    os.close(1)
    if postmaster.poll() is None:
        # Users hold it shared.
        fcntl.flock(users, fcntl.LOCK_EX)
        postmaster.send_signal(signal.SIGINT)
        # Whoever comes now need not wait for us.
        os.close(users)
        postmaster.wait()


def _end(_number: int, _frame: FrameType | None) -> NoReturn:
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3:])
