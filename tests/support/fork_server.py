"""Starts `diary-mcp` by a fork of a process that has imported it all, for a sixth of the price.

Each process that runs tests has one fork server at most: this file as a program. It has one
thread, and forks a child for each order: a process with a pid, a session and signal handlers of
its own, which takes on the environment and the standard streams of the order and then runs the
command as its console script does. What a server is to do while it imports cannot be tested so.

The command itself is executed where the interpreter, or what is imported, would find another
environment than the fork server has found, and on other systems than Linux.
"""

import atexit
import gc
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, suppress
from functools import cache
from importlib import import_module
from itertools import count
from pathlib import Path
from typing import IO, Literal, NamedTuple, NoReturn, Protocol

COMMAND = str(Path(sys.executable).with_name("diary-mcp"))

_READ_AT_IMPORT = (
    *("PYTHON", "LC_", "LANG", "LD_", "TZ", "MALLOC_", "OMP_", "OPENBLAS_", "OPENSSL_"),
    *("DBOS_", "OTEL_", "PYDANTIC_", "PSYCOPG_", "NO_COLOR", "FORCE_COLOR"),
)
_MODULES = (
    *("diary_mcp.cli", "diary_mcp.app", "diary_mcp.workflows.runtime", "diary_mcp.keys.ed25519"),
    *("diary_mcp.permissions.keto", "diary_mcp.telemetry.opening"),
    *("diary_mcp.serving.http", "diary_mcp.serving.page"),
    *("diary_mcp.service.search.engine", "diary_mcp.service.index.passages"),
    *("diary_mcp.service.index.tokenizer", "diary_mcp.server.prompts.yaml_head"),
    *("diary_mcp.commands.serve", "diary_mcp.commands.agents", "diary_mcp.commands.import_files"),
    *("diary_mcp.commands.sign", "diary_mcp.commands.status", "diary_mcp.commands.migrate"),
    # What they import by its name, or when it is first called.
    *("anyio._backends._asyncio", "uvloop", "dbos._sys_db_postgres", "sqlalchemy.dialects.sqlite"),
    *("Stemmer", "rapidfuzz.process"),
)
_MAX_ORDER = 1 << 20
_STDERR = 2

Stream = int | IO[bytes]
"""An open file, `subprocess.PIPE` or `subprocess.DEVNULL`."""


class ForkedProcess:
    """A child of the fork server, to be used as a `subprocess.Popen` is."""

    def __init__(
        self, pid: int, ended: Future[int], stdin: IO[bytes] | None, stdout: IO[bytes] | None
    ) -> None:
        self.pid = pid
        self.stdin = stdin
        self.stdout = stdout
        self._ended = ended

    @property
    def returncode(self) -> int | None:
        """The exit status, negative where a signal ended it, or `None` while it runs."""
        return self._ended.result() if self._ended.done() else None

    def poll(self) -> int | None:
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """The exit status, once it has ended.

        Raises:
            subprocess.TimeoutExpired: it has not ended in time.
        """
        try:
            return self._ended.result(timeout)
        except TimeoutError as error:
            raise subprocess.TimeoutExpired(COMMAND, timeout or 0) from error

    def send_signal(self, number: int) -> None:
        if not self._ended.done():
            # It may be ending at this moment.
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


Process = ForkedProcess | subprocess.Popen[bytes]


class StartCommand(Protocol):
    """A way to start `diary-mcp`, with these words and in a session of its own."""

    def __call__(
        self,
        *words: str,
        env: Mapping[str, str],
        stdin: Stream = ...,
        stdout: Stream = ...,
        stderr: Stream = ...,
    ) -> Process: ...


def start_command(
    *words: str,
    env: Mapping[str, str],
    stdin: Stream = subprocess.DEVNULL,
    stdout: Stream = subprocess.DEVNULL,
    stderr: Stream = subprocess.DEVNULL,
) -> Process:
    """Starts `diary-mcp` by a fork, where that makes no difference."""
    if sys.platform != "linux" or not _fork_server().fits(env):
        return execute_command(*words, env=env, stdin=stdin, stdout=stdout, stderr=stderr)
    return _fork([COMMAND, *words], env, stdin, stdout, stderr)


def start_program(program: str, *words: str) -> Process:
    """Starts a program of the tests by a fork, likewise; we write to its stdin and read its stdout.

    Its environment and its stderr are ours.
    """
    pipe, command = subprocess.PIPE, [program, *words]
    if sys.platform != "linux" or not _fork_server().fits(os.environ):
        return subprocess.Popen([sys.executable, *command], stdin=pipe, stdout=pipe)
    return _fork(command, os.environ, pipe, pipe, _STDERR)


def _fork(
    command: Sequence[str], env: Mapping[str, str], stdin: Stream, stdout: Stream, stderr: Stream
) -> ForkedProcess:
    with ExitStack() as theirs:
        child_in, our_in = _open_stream(theirs, stdin, "wb")
        child_out, our_out = _open_stream(theirs, stdout, "rb")
        child_err, _ = _open_stream(theirs, stderr, "rb")
        pid, ended = _fork_server().fork(command, env, [child_in, child_out, child_err])
    return ForkedProcess(pid, ended, our_in, our_out)


def execute_command(
    *words: str,
    env: Mapping[str, str],
    through: Sequence[str] = (),
    stdin: Stream = subprocess.DEVNULL,
    stdout: Stream = subprocess.DEVNULL,
    stderr: Stream = subprocess.DEVNULL,
) -> subprocess.Popen[bytes]:
    """Starts `diary-mcp` as a client does; `through` is a command that executes it."""
    return subprocess.Popen(
        [*through, COMMAND, *words],
        env=dict(env),
        start_new_session=True,
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
    )


def complete_command(
    *words: str,
    env: Mapping[str, str],
    stdin: Stream = subprocess.DEVNULL,
    start: StartCommand = start_command,
    within_s: float = 60,
) -> subprocess.CompletedProcess[str]:
    """Runs `diary-mcp` to its end, with what it wrote."""
    with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        process = start(*words, env=env, stdin=stdin, stdout=stdout, stderr=stderr)
        try:
            status = process.wait(within_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
        written = [os.pread(each.fileno(), 1 << 24, 0).decode() for each in (stdout, stderr)]
        return subprocess.CompletedProcess([COMMAND, *words], status, *written)


def _read_at_import(env: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in env.items() if name.startswith(_READ_AT_IMPORT)}


def _open_stream(
    theirs: ExitStack, wanted: Stream, our_mode: Literal["rb", "wb"]
) -> tuple[int, IO[bytes] | None]:
    """The child's end, which is closed with `theirs`, and ours of a pipe."""
    if wanted == subprocess.PIPE:
        reading, writing = os.pipe()
        child, ours = (writing, reading) if our_mode == "rb" else (reading, writing)
        theirs.callback(os.close, child)
        return child, os.fdopen(ours, our_mode)
    if wanted == subprocess.DEVNULL:
        nothing = os.open(os.devnull, os.O_RDWR)
        theirs.callback(os.close, nothing)
        return nothing, None
    return wanted if isinstance(wanted, int) else wanted.fileno(), None


class _ForkServer:
    """The fork server of this process, and what becomes of its children."""

    def __init__(self) -> None:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, __file__],
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                # Or numpy starts threads as it is imported.
                env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
                start_new_session=True,
            )
        self._found = _read_at_import(os.environ)
        self._numbers = count()
        self._children: dict[int, tuple[Future[int], Future[int]]] = {}
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        atexit.register(self._close)

    def fits(self, env: Mapping[str, str]) -> bool:
        """Whether what it has imported would have been imported alike in this environment."""
        return _read_at_import(env) == self._found

    def fork(
        self, command: Sequence[str], env: Mapping[str, str], streams: Sequence[int]
    ) -> tuple[int, Future[int]]:
        """The child's pid, and its exit status to come."""
        number = next(self._numbers)
        started, ended = self._children[number] = Future[int](), Future[int]()
        order = _Order(number, list(command), dict(env), str(Path.cwd()))
        socket.send_fds(self._control, [json.dumps(order).encode()], streams)
        return started.result(), ended

    def _read(self) -> None:
        with suppress(ConnectionResetError):
            while told := self._control.recv(1 << 10):
                number, what, value = json.loads(told)
                started, ended = self._children[number]
                (started if what == "pid" else ended).set_result(value)
        for each in self._children.values():
            for future in each:
                if not future.done():
                    future.set_exception(ChildProcessError("The fork server is gone."))

    def _close(self) -> None:
        self._control.shutdown(socket.SHUT_RDWR)
        self._reader.join()
        self._control.close()
        self._process.wait()


_fork_server = cache(_ForkServer)


class _Order(NamedTuple):
    number: int
    command: list[str]
    env: dict[str, str]
    cwd: str


def _serve(control: socket.socket) -> _Order:
    """Forks for each order, and returns in the child, with its order."""
    woken, waker = socket.socketpair()
    for end in (woken, waker):
        end.setblocking(False)
    signal.set_wakeup_fd(waker.fileno())
    signal.signal(signal.SIGCHLD, _do_nothing)
    running: dict[int, int] = {}
    while True:
        ready, _, _ = select.select([control, woken], [], [])
        if woken in ready:
            woken.recv(1 << 10)
            _tell_ends(control, running)
        if control in ready:
            message, streams, _, _ = socket.recv_fds(control, _MAX_ORDER, 3)
            if not message:
                os._exit(0)
            order = _Order(*json.loads(message))
            pid = os.fork()
            if not pid:
                _leave_fork_server([control, woken, waker], streams)
                return order
            running[pid] = order.number
            _close_all(streams)
            control.send(json.dumps([order.number, "pid", pid]).encode())


def _do_nothing(_number: int, _frame: object) -> None:
    """What handles SIGCHLD: only a signal that has a handler wakes."""


def _close_all(streams: Sequence[int]) -> None:
    for each in streams:
        os.close(each)


def _tell_ends(control: socket.socket, running: dict[int, int]) -> None:
    """Tells how children ended; until it is told, nobody else gets the pid."""
    while running:
        found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if found is None:
            return
        status = found.si_status if found.si_code == os.CLD_EXITED else -found.si_status
        control.send(json.dumps([running.pop(found.si_pid), "status", status]).encode())
        os.waitpid(found.si_pid, 0)


def _leave_fork_server(sockets: Sequence[socket.socket], streams: Sequence[int]) -> None:
    """Makes a child a process of its own, with nothing open but its standard streams."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    for each in sockets:
        each.detach()
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))


def _main() -> NoReturn:
    # Not of interest to anybody but its tests, and its modules have names that others have.
    del sys.path[0]
    gc.disable()
    for module in _MODULES:
        import_module(module)
    gc.collect()
    gc.freeze()
    gc.enable()
    assert len(list(Path("/proc/self/task").iterdir())) == 1
    order = _serve(socket.socket(fileno=os.dup(0)))
    os.environ.clear()
    os.environ.update(order.env)
    os.chdir(order.cwd)
    sys.argv = order.command
    if order.command[0] != COMMAND:
        sys.path.insert(0, str(Path(__file__).parents[1]))
        runpy.run_path(order.command[0], run_name="__main__")
        sys.exit()
    from diary_mcp.cli import main  # noqa: PLC0415  # by now it costs nothing

    sys.exit(main())


if __name__ == "__main__":
    _main()
