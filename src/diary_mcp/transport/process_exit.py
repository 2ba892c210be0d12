"""The end of a process that cannot close what it has open."""

import logging
import os
import threading

import structlog

_log = structlog.get_logger()

CLOSING_S = 3.0
"""How long closing may take. A client kills a server two seconds after it has closed its stdin."""


def end_within(seconds: float, status: int) -> None:
    """Ends the process then, whatever it waits for; it may well end by itself before.

    A unit of work is shielded, and a PostgreSQL that is silent never answers it. Nothing depends on
    an end in order: what was committed is settled by the others, or at the next start.
    """
    timer = threading.Timer(seconds, _end, [seconds, status])
    timer.daemon = True
    timer.start()


def _end(seconds: float, status: int) -> None:
    _log.warning("server.ended_at_once", waited_s=seconds)
    logging.shutdown()
    os._exit(status)
