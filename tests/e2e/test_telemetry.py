"""A server that OTEL_* variables ask for traces and metrics, and a collector that receives them."""

import signal
from contextlib import ExitStack

import pytest
from opentelemetry.trace import SpanContext

from diary_mcp.app import open_foundation
from diary_mcp.domain.entry import EntryDraft
from diary_mcp.domain.fields import AgentName
from diary_mcp.settings import Settings
from support.clients import environment, raw_client
from support.ground_truth import eventually
from support.http_servers import bearer, call_body, call_headers, http_server, issue_token, post
from support.otlp import Observer, otlp_receiver, place_of

pytestmark = [pytest.mark.anyio, pytest.mark.xdist_group("telemetry")]

SECRET = "the cat's name is Ada"
METRICS = {
    "diary.tool.calls",
    "diary.tool.duration",
    "diary.settle.latency",
    "diary.permissions.pending",
    "diary.permissions.failed",
}


def observed(url: str, database_url: str) -> dict[str, str]:
    return environment(agent="alice", database_url=database_url) | {
        "OTEL_EXPORTER_OTLP_ENDPOINT": url,
        "OTEL_SERVICE_NAME": "diary-in-a-test",
        "OTEL_BSP_SCHEDULE_DELAY": "100",
        "OTEL_METRIC_EXPORT_INTERVAL": "500",
    }


async def test_a_collector_receives_traces_and_metrics_and_no_content(database_url: str) -> None:
    """Also of what another process has begun; and nobody waits for it once it is gone."""
    begun = await begin_a_trace(database_url)

    with ExitStack() as collecting:
        collector = collecting.enter_context(otlp_receiver())
        with raw_client(observed(collector.url, database_url)) as client:
            eventually(lambda: collector.spans("diary.settle"))
            (settling,) = collector.spans("diary.settle")
            client.create(SECRET, title=SECRET, key=SECRET)
            client.call("diary_search", query=SECRET)
            eventually(lambda: collector.metric_names() >= METRICS)
            eventually(lambda: collector.spans("tools/call diary_search"))
            collecting.close()
            client.create("Nobody observes.")
            client.hang_up()

            assert client.wait() == 0
            assert client.noise == []
            assert "Ada" not in client.stderr()
    assert settling.service == "diary-in-a-test"
    assert settling.trace_id == f"{begun.trace_id:032x}"
    assert settling.parent_id == f"{begun.span_id:016x}"
    assert collector.spans("tools/call diary_create")
    assert not any(b"Ada" in body for body in (*collector.traces, *collector.metrics))


async def begin_a_trace(database_url: str) -> SpanContext:
    """The place of a transaction in it, whose workflow is left to others."""
    observer = Observer()
    settings = Settings(database_url=database_url, embeddings="none")
    async with open_foundation(settings, observer.telemetry) as here:
        await here.diary.entries.create(AgentName("alice"), EntryDraft(content=SECRET))
    (transaction,) = observer.spans("diary.transaction")
    return place_of(transaction)


def test_the_trace_of_an_http_client_is_gone_on_with_and_its_token_is_not_told(
    database: str,
) -> None:
    token = issue_token(database, "alice").secret
    trace, span = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    headers = bearer(token) | call_headers("diary_whoami", "2025-11-25")
    traced = headers | {"traceparent": f"00-{trace}-{span}-01"}
    with (
        otlp_receiver() as collector,
        http_server(observed(collector.url, database)) as server,
    ):
        server.wait_until_ready()
        post(server, call_body("diary_whoami"), traced)

        server.end(signal.SIGTERM)

    (received,) = collector.spans("tools/call diary_whoami")
    assert (received.trace_id, received.parent_id) == (trace, span)
    assert not any(token.encode() in body for body in (*collector.traces, *collector.metrics))
