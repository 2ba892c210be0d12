"""One trace from the tool call to the settled workflow, and measures; never content."""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
from mcp.client.client import Client

from diary_mcp.app import Foundation, open_foundation, run_workflows
from diary_mcp.domain.errors import PermissionBackendUnavailableError
from diary_mcp.domain.fields import AgentName, EntryId
from diary_mcp.server.build import build_server
from diary_mcp.server.caller import Caller
from diary_mcp.server.dispatch import RequestContext
from diary_mcp.server.telemetry import observe
from diary_mcp.service.diary import Diary
from diary_mcp.settings import Settings
from diary_mcp.workflows.loop import ApplicationLoop
from diary_mcp.workflows.ports import Work
from diary_mcp.workflows.retrying import RetryPolicy
from diary_mcp.workflows.workflows import Workflows
from support.clients import Json
from support.ground_truth import ask
from support.in_memory import good, refusal
from support.otlp import Observer, place_of
from support.workflows import eventually

pytestmark = pytest.mark.anyio

SECRET = "the cat's name is Ada"
REMOTE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
UNFINISHED = "select from dbos.workflow_status where status in ('ENQUEUED', 'PENDING', 'DELAYED')"
TRACES = "select inputs from dbos.workflow_input where workflow_uuid like 'grant_ownership:%'"


@pytest.fixture
def observer() -> Observer:
    return Observer()


@pytest.fixture
async def observed(database_url: str, observer: Observer) -> AsyncGenerator[Foundation]:
    settings = Settings(database_url=database_url, embeddings="none")
    async with open_foundation(settings, observer.telemetry) as opened:
        yield opened


@asynccontextmanager
async def connected(foundation: Foundation, observer: Observer) -> AsyncGenerator[Client]:
    """A client of a server that is observed."""

    async def provide() -> Diary:
        return foundation.diary

    def caller_of(_context: RequestContext) -> Caller:
        return Caller(AgentName("alice"))

    server = build_server(provide, caller_of)
    observe(server, observer.telemetry, caller_of)
    async with Client(server, cache=None) as client:
        yield client


async def test_one_trace_goes_from_the_call_through_the_transaction_to_the_settled_workflow(
    observed: Foundation, observer: Observer
) -> None:
    async with connected(observed, observer) as client, settling(observed):
        entry = await good(client, "diary_create", content="Observed.")
        await eventually(lambda: _has(observer, "diary.settle"), within_s=60)

    (call,) = observer.spans("tools/call diary_create")
    (transaction,) = observer.spans("diary.transaction")
    (settled,) = observer.spans("diary.settle")
    (at_once,) = observer.spans("diary.settle_at_once")
    assert (call.parent, call.attributes) == (
        None,
        {
            "mcp.method.name": "tools/call",
            "mcp.protocol.version": "2026-07-28",
            "gen_ai.tool.name": "diary_create",
            "diary.agent": "alice",
        },
    )
    assert transaction.parent is not None
    assert settled.parent is not None
    assert transaction.parent.span_id == place_of(call).span_id
    assert settled.parent.span_id == place_of(transaction).span_id
    assert at_once.parent is not None
    assert at_once.parent.span_id == place_of(call).span_id
    assert {place_of(span).trace_id for span in (call, transaction, settled, at_once)} == {
        place_of(call).trace_id
    }
    assert settled.attributes == {
        "diary.workflow_id": f"grant_ownership:{entry['id']}:1",
        "diary.entries": 1,
    }


async def test_a_trace_of_the_client_is_gone_on_with(
    observed: Foundation, observer: Observer
) -> None:
    async with connected(observed, observer) as client:
        await client.call_tool("diary_whoami", {}, meta={"traceparent": REMOTE})

    (call,) = observer.spans("tools/call diary_whoami")
    assert f"{place_of(call).trace_id:032x}" in REMOTE
    assert call.parent is not None
    assert f"{call.parent.span_id:016x}" in REMOTE


async def test_the_trace_goes_in_with_the_workflow_and_only_where_there_is_one(
    observed: Foundation, observer: Observer, database_url: str
) -> None:
    async with connected(observed, observer) as client:
        await good(client, "diary_create", content="Observed.")
    (transaction,) = observer.spans("diary.transaction")
    ((with_trace,),) = ask(database_url, TRACES)

    async with open_foundation(Settings(database_url=database_url, embeddings="none")) as silent:
        ask(database_url, "delete from dbos.workflow_input")
        async with connected(silent, Observer()) as client:
            await good(client, "diary_create", content="Not observed.")
    ((without,),) = ask(database_url, TRACES)

    context = place_of(transaction)
    *_, trace = json.loads(str(with_trace))["positionalArgs"]
    assert trace.startswith(f"00-{context.trace_id:032x}-{context.span_id:016x}-")
    assert len(json.loads(str(without))["positionalArgs"]) == 2


async def test_a_refused_call_and_its_transaction_have_failed_and_say_no_more_than_the_code(
    observed: Foundation, observer: Observer
) -> None:
    async with connected(observed, observer) as client:
        await refusal(client, "diary_create", content=SECRET, supersedes=SECRET)
        await refusal(client, SECRET)

    told = {span.name: (span.attributes or {}).get("error.type") for span in observer.spans()}
    assert told["diary.transaction"] == "NotFoundError"
    assert told["tools/call diary_create"] == told["tools/call unknown"] == "not_found"
    assert all("Ada" not in span.to_json() for span in observer.spans())


async def test_no_content_gets_into_spans_or_measures(
    observed: Foundation, observer: Observer, database_url: str
) -> None:
    ask(database_url, "alter table diary.entry add constraint few check (length(content) < 1000)")
    arguments: Json = {"title": SECRET, "key": SECRET, "tags": [SECRET], "session": SECRET}
    async with connected(observed, observer) as client, settling(observed):
        await good(client, "diary_create", content=SECRET, **arguments)
        await refusal(client, "diary_create", content=SECRET * 100)
        await good(client, "diary_search", query=SECRET)
        await client.read_resource(f"diary://entries/{SECRET.replace(' ', '%20')}")
        await eventually(lambda: _has(observer, "diary.settle"), within_s=60)

    assert all("Ada" not in span.to_json() for span in observer.spans())
    assert "Ada" not in observer.metrics()


async def test_calls_settlings_and_the_backlog_are_measured(
    observed: Foundation, observer: Observer
) -> None:
    async with connected(observed, observer) as client, settling(observed):
        await good(client, "diary_create", content="Observed.")
        await refusal(client, "diary_get", entry_id="absent")
        await eventually(lambda: _measured(observer, "diary.settle.latency"), within_s=60)
        await eventually(lambda: _measured(observer, "diary.permissions.pending"), within_s=60)

    points = _points(observer)
    calls = {
        (point["attributes"]["diary.tool"], point["attributes"]["diary.outcome"]): point["value"]
        for point in points["diary.tool.calls"]
    }
    assert calls == {("diary_create", "ok"): 1, ("diary_get", "not_found"): 1}
    assert [point["count"] for point in points["diary.tool.duration"]] == [1, 1]
    assert points["diary.settle.latency"][0]["count"] == 1
    assert 0 < points["diary.settle.latency"][0]["sum"] < 60
    assert points["diary.permissions.failed"][0]["value"] == 0


async def test_a_settling_that_gives_up_has_failed(observer: Observer) -> None:
    async def settle(_entry_ids: object) -> None:
        raise PermissionBackendUnavailableError(SECRET)

    policy = RetryPolicy(first_pause_s=0.01, give_up_after_s=0)
    workflows = Workflows(Work(settle), ApplicationLoop(), policy, observer.telemetry)

    with pytest.raises(PermissionBackendUnavailableError):
        await workflows.settle("some:id", list[EntryId](), REMOTE)

    (span,) = observer.spans("diary.settle")
    assert (span.attributes or {})["error.type"] == "PermissionBackendUnavailableError"
    assert "Ada" not in span.to_json()


@asynccontextmanager
async def settling(foundation: Foundation) -> AsyncGenerator[None]:
    """Runs workflows, to their end: DBOS complains of what is cut off."""
    async with run_workflows(foundation):
        yield
        await eventually(lambda: _is_idle(foundation), within_s=60)


async def _is_idle(foundation: Foundation) -> bool:
    return not ask(foundation.database_url, UNFINISHED)


async def _has(observer: Observer, name: str) -> bool:
    return bool(observer.spans(name))


async def _measured(observer: Observer, name: str) -> bool:
    return name in _points(observer)


def _points(observer: Observer) -> dict[str, list[Json]]:
    """The data points of each metric."""
    measured = json.loads(observer.metrics() or '{"resource_metrics": []}')
    return {
        metric["name"]: metric["data"]["data_points"]
        for resource in measured["resource_metrics"]
        for scope in resource["scope_metrics"]
        for metric in scope["metrics"]
    }
