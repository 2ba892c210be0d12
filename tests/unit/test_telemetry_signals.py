"""Which OTEL_* variables turn telemetry on, and that nothing is imported where none does."""

import subprocess
import sys

import pytest

from diary_mcp.telemetry.signals import read_signals

ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}
# What a server imports, whichever transport it serves.
IMPORTS = """\
import sys, diary_mcp.app, diary_mcp.workflows.runtime
import diary_mcp.serving.stdio, diary_mcp.serving.http
print([name for name in sys.modules if name.startswith(("opentelemetry.sdk", "opentelemetry.exp"))])
"""


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [
        ({}, set[str]()),
        ({"OTEL_SERVICE_NAME": "diary"}, set[str]()),
        (ENDPOINT, {"traces", "metrics"}),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://x/v1/traces"}, {"traces"}),
        ({"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://x/v1/metrics"}, {"metrics"}),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, {"traces"}),
        ({**ENDPOINT, "OTEL_METRICS_EXPORTER": "none"}, {"traces"}),
        ({**ENDPOINT, "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, {"traces", "metrics"}),
        ({**ENDPOINT, "OTEL_SDK_DISABLED": "TRUE"}, set[str]()),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, set[str]()),
    ],
)
def test_a_signal_is_exported_where_it_was_asked_for(
    environment: dict[str, str], wanted: set[str]
) -> None:
    signals = read_signals(environment)

    assert signals.wanted == wanted
    assert signals.problems == ()


@pytest.mark.parametrize(
    ("variables", "wanted", "problem"),
    [
        (
            {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_METRICS_EXPORTER": "none"},
            set[str](),
            "traces can be exported over http/protobuf only, not over grpc",
        ),
        (
            {"OTEL_TRACES_EXPORTER": "console,otlp"},
            {"metrics"},
            "traces can be exported with otlp only, not with console",
        ),
    ],
)
def test_what_cannot_be_exported_is_said(
    variables: dict[str, str], wanted: set[str], problem: str
) -> None:
    signals = read_signals(ENDPOINT | variables)

    assert signals.wanted == wanted
    assert signals.problems == (problem,)


def test_a_server_that_nobody_observes_imports_no_sdk() -> None:
    done = subprocess.run(
        [sys.executable, "-c", IMPORTS], capture_output=True, text=True, check=True, timeout=60
    )

    assert done.stdout == "[]\n"
