"""Which signals OpenTelemetry's own environment variables ask for; imports nothing of it."""

from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from typing import Literal

Signal = Literal["traces", "metrics"]
SIGNALS: tuple[Signal, ...] = ("traces", "metrics")

_OTLP = "OTEL_EXPORTER_OTLP"
_PROTOCOL = "http/protobuf"


# What OpenTelemetry looks up while the MCP SDK imports it, and raises where it is not there.
_PLUGINS = {
    "OTEL_PROPAGATORS": "opentelemetry_propagator",
    "OTEL_PYTHON_CONTEXT": "opentelemetry_context",
    "OTEL_PYTHON_LOGGER_PROVIDER": "opentelemetry_logger_provider",
    "OTEL_PYTHON_METER_PROVIDER": "opentelemetry_meter_provider",
    "OTEL_PYTHON_TRACER_PROVIDER": "opentelemetry_tracer_provider",
}


@dataclass(frozen=True)
class Signals:
    """What is to be exported, and in sentences what was asked for and cannot be."""

    wanted: frozenset[Signal]
    problems: tuple[str, ...]


def forget_missing_plugins(environment: MutableMapping[str, str]) -> list[str]:
    """Takes variables away that name what is not installed: observability never ends a server.

    Returns:
        Those variables.
    """
    missing = [
        variable
        for variable, group in _PLUGINS.items()
        if variable in environment and not _are_installed(group, environment[variable])
    ]
    for variable in missing:
        del environment[variable]
    return missing


def _are_installed(group: str, names: str) -> bool:
    from importlib.metadata import entry_points  # noqa: PLC0415  # slow, and seldom needed

    installed = entry_points(group=group).names
    return all(
        name.strip().lower() == "none" or name.strip() in installed for name in names.split(",")
    )


def read_signals(environment: Mapping[str, str]) -> Signals:
    """A signal is exported where an endpoint is set for it, or `otlp` as its exporter."""
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return Signals(frozenset(), ())
    wanted: set[Signal] = set()
    problems: list[str] = []
    for signal in SIGNALS:
        exporters = _exporters(environment, signal)
        problem = _problem(environment, signal, exporters)
        if problem is not None:
            problems.append(problem)
        elif "otlp" in exporters:
            wanted.add(signal)
    return Signals(frozenset(wanted), tuple(problems))


def _exporters(environment: Mapping[str, str], signal: Signal) -> set[str]:
    chosen = environment.get(f"OTEL_{signal.upper()}_EXPORTER", "")
    names = {name.strip().lower() for name in chosen.split(",")} - {"", "none"}
    if names or chosen.strip():
        return names
    endpoints = (f"{_OTLP}_ENDPOINT", f"{_OTLP}_{signal.upper()}_ENDPOINT")
    return {"otlp"} if any(environment.get(name) for name in endpoints) else set()


def _problem(environment: Mapping[str, str], signal: Signal, exporters: set[str]) -> str | None:
    if others := exporters - {"otlp"}:
        return f"{signal} can be exported with otlp only, not with {', '.join(sorted(others))}"
    specific = environment.get(f"{_OTLP}_{signal.upper()}_PROTOCOL")
    protocol = specific or environment.get(f"{_OTLP}_PROTOCOL") or _PROTOCOL
    if exporters and protocol != _PROTOCOL:
        return f"{signal} can be exported over {_PROTOCOL} only, not over {protocol}"
    return None
