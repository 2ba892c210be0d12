"""Telemetry of a process: on where it was asked for, and flushed at the end."""

from collections.abc import AsyncGenerator, Collection, Mapping
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
import structlog

from diary_mcp.service.telemetry import NO_TELEMETRY, Telemetry
from diary_mcp.telemetry.signals import Signal, read_signals

if TYPE_CHECKING:
    from diary_mcp.telemetry.exporting import OpenTelemetry

_log = structlog.get_logger()

# A client that ended the server waits two seconds in all before it kills.
_LAST_EXPORT_S = 0.5


@asynccontextmanager
async def open_telemetry(environment: Mapping[str, str]) -> AsyncGenerator[Telemetry]:
    """What was asked for in `OTEL_*` variables; OpenTelemetry is imported only then."""
    signals = read_signals(environment)
    for problem in signals.problems:
        _log.warning("telemetry.not_exported", reason=problem)
    if not signals.wanted:
        yield NO_TELEMETRY
        return
    exported = _export(signals.wanted)
    if exported is None:
        yield NO_TELEMETRY
        return
    _log.info("telemetry.on", signals=sorted(signals.wanted))
    try:
        yield exported
    finally:
        with anyio.move_on_after(_LAST_EXPORT_S, shield=True):
            await anyio.to_thread.run_sync(exported.close, abandon_on_cancel=True)


def _export(wanted: Collection[Signal]) -> "OpenTelemetry | None":
    """The exported signals; `None` where OpenTelemetry refuses what a variable says."""
    try:
        from diary_mcp.telemetry.exporting import export  # noqa: PLC0415  # imports OpenTelemetry

        return export(wanted, version("diary-mcp"))
    except Exception as error:  # noqa: BLE001  # whatever a value does to OpenTelemetry
        # Its text may quote a header, and with it a token.
        reason = f"OpenTelemetry refuses a value of an OTEL_* variable ({type(error).__name__})."
        _log.warning("telemetry.not_exported", reason=reason)
        return None
