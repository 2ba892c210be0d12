"""Somebody who observes: OpenTelemetry in memory, and a receiver of OTLP over HTTP."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanContext

from diary_mcp.telemetry.exporting import OpenTelemetry


class Observer:
    """Telemetry that stays in this process, to be looked at."""

    def __init__(self) -> None:
        self._spans = InMemorySpanExporter()
        self._reader = InMemoryMetricReader()
        tracers = TracerProvider(shutdown_on_exit=False)
        tracers.add_span_processor(SimpleSpanProcessor(self._spans))
        meters = MeterProvider([self._reader], shutdown_on_exit=False)
        self.telemetry = OpenTelemetry(tracers, meters)

    def spans(self, name: str = "") -> list[ReadableSpan]:
        """The spans that have ended, of one name or of all."""
        ended = self._spans.get_finished_spans()
        return [span for span in ended if not name or span.name == name]

    def metrics(self) -> str:
        """Everything that was measured, as JSON."""
        data = self._reader.get_metrics_data()
        return "" if data is None else data.to_json()


def place_of(span: ReadableSpan) -> SpanContext:
    """The trace that a span belongs to, and its id."""
    place = span.get_span_context()
    assert place is not None
    return place


@dataclass(frozen=True)
class ReceivedSpan:
    name: str
    trace_id: str
    span_id: str
    parent_id: str
    service: str


@dataclass
class Receiver:
    """What was sent to a collector."""

    url: str
    traces: list[bytes] = field(default_factory=list[bytes])
    metrics: list[bytes] = field(default_factory=list[bytes])

    def spans(self, name: str) -> list[ReceivedSpan]:
        return [span for body in self.traces for span in _spans(body) if span.name == name]

    def metric_names(self) -> set[str]:
        return {
            metric.name
            for body in self.metrics
            for resource in ExportMetricsServiceRequest.FromString(body).resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }


@contextmanager
def otlp_receiver() -> Generator[Receiver]:
    """A collector on this machine, for as long as the block runs."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            {"/v1/traces": receiver.traces, "/v1/metrics": receiver.metrics}[self.path].append(body)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # as in the base
            del format, args

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        receiver = Receiver(f"http://127.0.0.1:{server.server_port}")
        Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield receiver
        server.shutdown()


def _spans(body: bytes) -> list[ReceivedSpan]:
    return [
        ReceivedSpan(
            name=span.name,
            trace_id=span.trace_id.hex(),
            span_id=span.span_id.hex(),
            parent_id=span.parent_span_id.hex(),
            service=next(
                attribute.value.string_value
                for attribute in resource.resource.attributes
                if attribute.key == "service.name"
            ),
        )
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]
