"""Values of OpenTelemetry's variables that its exporter refuses never end a process."""

import os
import threading

import pytest
from structlog.testing import capture_logs

from diary_mcp.telemetry.opening import open_telemetry
from support.ground_truth import eventually

pytestmark = pytest.mark.anyio

REFUSED = {
    "OTEL_EXPORTER_OTLP_TIMEOUT": "soon",
    "OTEL_EXPORTER_OTLP_COMPRESSION": "brotli",
    "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": "sideways",
    "OTEL_EXPORTER_OTLP_CERTIFICATE": "/no/such/file.pem",
    "OTEL_BSP_SCHEDULE_DELAY": "-1",
    "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "99999",
    "OTEL_METRIC_EXPORT_INTERVAL": "-5",
    "OTEL_TRACES_SAMPLER": "sometimes",
    "OTEL_TRACES_SAMPLER_ARG": "half",
    "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": "many",
    "OTEL_RESOURCE_ATTRIBUTES": "=,=",
    "OTEL_EXPORTER_OTLP_HEADERS": "no header",
}


def list_exporters() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name.startswith("Otel")}


@pytest.mark.parametrize("variable", REFUSED)
async def test_a_value_that_is_refused_turns_telemetry_off_at_most_and_leaves_nothing_behind(
    monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    # Or it goes on trying, and complaining, while other tests run.
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "0.1")
    monkeypatch.setenv(variable, REFUSED[variable])

    others = list_exporters()
    with capture_logs() as logs:
        async with open_telemetry(os.environ) as telemetry:
            with telemetry.span("tools/call diary_whoami", {}):
                telemetry.count_call("diary_whoami", "ok", 0.1)

    assert telemetry.is_on or [each["event"] for each in logs] == ["telemetry.not_exported"]
    eventually(lambda: list_exporters() <= others)
