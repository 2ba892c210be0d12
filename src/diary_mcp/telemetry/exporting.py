"""Traces and metrics with OpenTelemetry. The providers are this process's own, not global."""

from collections.abc import Collection, Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from uuid import uuid4

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.metrics import MeterProvider as AnyMeterProvider
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import (
    NoOpTracerProvider,
    SpanKind,
    StatusCode,
    get_current_span,
)
from opentelemetry.trace import Span as OtelSpan
from opentelemetry.trace import TracerProvider as AnyTracerProvider
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from diary_mcp.service.telemetry import Attributes, Span
from diary_mcp.telemetry.signals import Signal

_SCOPE = "diary-mcp"
_TRACE_PARENT = "traceparent"
_W3C = TraceContextTextMapPropagator()
# Seconds. What a call and a settling take at rest is told as well as what they take in trouble.
_BOUNDARIES = [
    0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 300, 600,
]  # fmt: skip


def export(signals: Collection[Signal], version: str) -> "OpenTelemetry":
    """Exports these signals over OTLP, from now on, as `OTEL_*` variables say."""
    resource = _resource(version)
    tracers: TracerProvider | None = None
    meters: MeterProvider | None = None
    with ExitStack() as refused:
        if "traces" in signals:
            tracers = TracerProvider(resource=resource, shutdown_on_exit=False)
            refused.callback(tracers.shutdown)
            tracers.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        if "metrics" in signals:
            reader = PeriodicExportingMetricReader(OTLPMetricExporter())
            meters = MeterProvider([reader], resource=resource, shutdown_on_exit=False)
        refused.pop_all()
    return OpenTelemetry(tracers, meters)


class OpenTelemetry:
    """`Telemetry` on the providers that are there."""

    is_on = True

    def __init__(self, tracers: TracerProvider | None, meters: MeterProvider | None) -> None:
        self._providers = [each for each in (tracers, meters) if each is not None]
        self._has_traces = tracers is not None
        any_tracers: AnyTracerProvider = tracers or NoOpTracerProvider()
        any_meters: AnyMeterProvider = meters or NoOpMeterProvider()
        self._tracer = any_tracers.get_tracer(_SCOPE)
        meter = any_meters.get_meter(_SCOPE)
        self._calls = meter.create_counter("diary.tool.calls", "{call}", "Tool calls.")
        self._durations = meter.create_histogram(
            "diary.tool.duration",
            "s",
            "From a tool call's arrival to its answer.",
            explicit_bucket_boundaries_advisory=_BOUNDARIES,
        )
        self._settlings = meter.create_histogram(
            "diary.settle.latency",
            "s",
            "From a change to the moment when the permission backend agrees with it.",
            explicit_bucket_boundaries_advisory=_BOUNDARIES,
        )
        self._pending = meter.create_gauge(
            "diary.permissions.pending",
            "{entry}",
            "Entries with a permission change that has not reached the permission backend.",
        )
        self._failed = meter.create_gauge(
            "diary.permissions.failed",
            "{entry}",
            "Entries whose relations the permission backend refuses.",
        )

    @contextmanager
    def span(
        self, name: str, attributes: Attributes, *, parent: str | None = None
    ) -> Generator[Span]:
        is_inner = get_current_span().get_span_context().is_valid
        around = None if is_inner or parent is None else _W3C.extract({_TRACE_PARENT: parent})
        is_local = is_inner and not get_current_span().get_span_context().is_remote
        with self._tracer.start_as_current_span(
            name,
            around,
            kind=SpanKind.INTERNAL if is_local else SpanKind.SERVER,
            attributes=attributes,
            # Both would tell the exception's text.
            record_exception=False,
            set_status_on_exception=False,
        ) as opened:
            told = _Span(opened)
            try:
                yield told
            except BaseException as error:
                told.fail(type(error).__qualname__)
                raise

    @property
    def trace_parent(self) -> str | None:
        carrier: dict[str, str] = {}
        if self._has_traces:
            _W3C.inject(carrier)
        return carrier.get(_TRACE_PARENT)

    def count_call(self, tool: str, outcome: str, duration_s: float) -> None:
        attributes = {"diary.tool": tool, "diary.outcome": outcome}
        self._calls.add(1, attributes)
        self._durations.record(duration_s, attributes)

    def count_settling(self, latency_s: float) -> None:
        self._settlings.record(latency_s)

    def tell_backlog(self, *, pending: int, failed: int) -> None:
        self._pending.set(pending)
        self._failed.set(failed)

    def close(self) -> None:
        """Exports what is left. Blocks, for long where nobody takes it."""
        for provider in self._providers:
            provider.shutdown()


@dataclass
class _Span:
    opened: OtelSpan
    has_failed: bool = False

    def fail(self, kind: str) -> None:
        if self.has_failed:
            return
        self.has_failed = True
        self.opened.set_attribute("error.type", kind)
        self.opened.set_status(StatusCode.ERROR)


def _resource(version: str) -> Resource:
    """What the variables say of this service comes first."""
    own = {
        "service.name": _SCOPE,
        "service.version": version,
        "service.instance.id": str(uuid4()),
    }
    return Resource(own).merge(OTELResourceDetector().detect())
