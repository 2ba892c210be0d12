"""Which OTEL_* variables turn telemetry on."""

import pytest

from diary_mcp.telemetry.signals import forget_missing_plugins, read_signals

ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}


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


@pytest.mark.parametrize(
    ("environment", "missing"),
    [
        ({}, list[str]()),
        ({"OTEL_PROPAGATORS": "tracecontext, baggage"}, list[str]()),
        ({"OTEL_PROPAGATORS": "none"}, list[str]()),
        ({"OTEL_PROPAGATORS": "tracecontext,nope"}, ["OTEL_PROPAGATORS"]),
        ({"OTEL_PROPAGATORS": ""}, ["OTEL_PROPAGATORS"]),
        ({"OTEL_PYTHON_TRACER_PROVIDER": "nope"}, ["OTEL_PYTHON_TRACER_PROVIDER"]),
        ({"OTEL_PYTHON_CONTEXT": "nope", "OTEL_PYTHON_METER_PROVIDER": "x"}, [
            "OTEL_PYTHON_CONTEXT", "OTEL_PYTHON_METER_PROVIDER",
        ]),
    ],
)  # fmt: skip
def test_a_variable_that_names_what_is_not_installed_is_taken_away(
    environment: dict[str, str], missing: list[str]
) -> None:
    kept = {name: value for name, value in environment.items() if name not in missing}

    assert forget_missing_plugins(environment) == missing
    assert environment == kept
