"""The process of a hook, before anything else is imported: over in time, and always with status 0.

Any other status would stop a client, or keep its model from ending.
"""

import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import NoReturn

CLIENTS = ("claude-code", "codex")
ENDING = "SessionEnd"
AFTER_ENDING = "SessionEnded"
"""What the end of a session hands on, so that nobody waits for it."""

TOO_LONG = "took too long and was left out"

MAX_INPUT_BYTES = 16_000_000

_PROGRESS_VARIABLE = "DIARY_MCP_HOOK_PROGRESS"
# What `install` puts before the command of each hook.
_DATA_VARIABLE = "DIARY_MCP_DATA_DIR"
_EVENTS = ("SessionStart", "Stop", ENDING, AFTER_ENDING)
# A hook is over within 5 s, and before its client ends it: Codex waits 3 s at the end of a session.
# What keeps nobody waiting is ended only where it hangs.
_MAX_S = 4.0
_OTHER_LIMITS_S = MappingProxyType({ENDING: 2.0, AFTER_ENDING: 60.0})
_LAST_WORDS_S = 0.7
# No interpreter takes that long to come up: a system that says so counts from something else.
_OLDEST_S = 60.0
_START_TIME = 19
"""Where `/proc/PID/stat` has it, in the fields behind the name."""


class TimeLimit:
    """Ends the process, with status 0, when its time is up, counted from its start."""

    def __init__(
        self, words: Sequence[str], age_s: Callable[[], float], end: Callable[[], object]
    ) -> None:
        self.last_words: Callable[[], object] = lambda: _leave_out(words)
        """What to do before; what takes long is not waited for."""

        self._left_s = max(0.0, limit_s(words) - age_s())
        self._end = end

    def begin(self) -> None:
        threading.Thread(target=self._wait, daemon=True).start()

    def _wait(self) -> None:
        time.sleep(self._left_s)
        try:
            # The client may not read stderr, and the disk may hang.
            speaker = threading.Thread(target=self.last_words, daemon=True)
            speaker.start()
            speaker.join(_LAST_WORDS_S)
        finally:
            self._end()


def limit_s(words: Sequence[str]) -> float:
    """How long the hook may take that the words of the command line name."""
    return next((_OTHER_LIMITS_S[word] for word in words if word in _OTHER_LIMITS_S), _MAX_S)


def run_hook(words: Sequence[str], run: Callable[[TimeLimit], object]) -> NoReturn:
    """Runs the hook that the words of the command line name, and ends the process.

    What Python does at an end is left out: it may hang, and fail where stdout is closed.
    """
    try:
        limit = TimeLimit(words, seconds_since_start, end_well)
        limit.begin()
        if not _is_done_without(words):
            run(limit)
    except SystemExit as error:
        if error.code:
            _tell("was ended.")
    except BaseException as error:  # noqa: BLE001  # also an installation that is broken
        _tell(f"failed: {type(error).__name__}.")
    finally:
        end_well()


def seconds_since_start() -> float:
    """How old this process is; 0 where the system does not say."""
    with suppress(OSError, AttributeError, ValueError, IndexError):
        fields = Path("/proc/self/stat").read_bytes().rpartition(b")")[2].split()
        started_s = int(fields[_START_TIME]) / os.sysconf("SC_CLK_TCK")
        age_s = time.clock_gettime(time.CLOCK_BOOTTIME) - started_s
        return age_s if 0 <= age_s <= _OLDEST_S else 0.0
    return 0.0


def end_well() -> NoReturn:
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()
    os._exit(0)


def _is_done_without(words: Sequence[str]) -> bool:
    """Whether it is the end of a session: where anything is to be kept, another process does it."""
    if ENDING not in words or words[words.index(ENDING) - 1] not in CLIENTS:
        return False
    told = {name.upper(): value for name, value in os.environ.items()}
    if told.get(_PROGRESS_VARIABLE, "off") in {"", "off"}:
        _read_to_no_end()
        return True
    import subprocess  # noqa: PLC0415  # seldom needed

    after = [AFTER_ENDING if word == ENDING else word for word in words]
    subprocess.Popen(  # noqa: S603  # this program, and the words that it was given
        [sys.executable, "-P", "-m", "diary_mcp", "hook", *after],
        # It reads what the client has written for us.
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    return True


def _leave_out(words: Sequence[str]) -> None:
    """Tells of it, and counts it where the data directory is known without reading settings."""
    _tell(f"{TOO_LONG}.")
    folder = os.environ.get(_DATA_VARIABLE, "")
    event = next((word for word in words if word in _EVENTS), None)
    if event is not None and Path(folder).is_absolute():
        from diary_mcp.plugins.hook_state import HookState  # noqa: PLC0415  # seldom needed

        HookState(Path(folder)).count_failure(event, TOO_LONG)


def _read_to_no_end() -> None:
    """Takes what the client has written, which would fail if nobody did."""
    import json  # noqa: PLC0415  # other hooks need none

    try:
        is_object = isinstance(json.loads(sys.stdin.buffer.read(MAX_INPUT_BYTES)), dict)
    except (ValueError, RecursionError):
        is_object = False
    if not is_object:
        _tell("was given no JSON object on standard input.")


def _tell(what: str) -> None:
    with suppress(OSError):
        os.write(2, f"diary-mcp: this hook {what}\n".encode())
