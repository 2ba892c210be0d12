"""Telemetry of a process: on where it was asked for, and flushed at the end."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from importlib.metadata import version

import anyio
import anyio.to_thread
import structlog

from diary_mcp.service.telemetry import NO_TELEMETRY, Telemetry
from diary_mcp.telemetry.signals import read_signals

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
    from diary_mcp.telemetry.exporting import export  # noqa: PLC0415  # imports OpenTelemetry

    exported = export(signals.wanted, version("diary-mcp"))
    _log.info("telemetry.on", signals=sorted(signals.wanted))
    try:
        yield exported
    finally:
        with anyio.move_on_after(_LAST_EXPORT_S, shield=True):
            await anyio.to_thread.run_sync(exported.close, abandon_on_cancel=True)
