"""What observing costs where nobody observes."""

from diary_mcp.domain.fields import AgentName
from diary_mcp.server.build import build_server
from diary_mcp.server.caller import Caller
from diary_mcp.server.dispatch import explain_refusals
from diary_mcp.server.telemetry import observe
from diary_mcp.service.diary import Diary
from diary_mcp.service.telemetry import NO_TELEMETRY


async def _never() -> Diary:
    raise AssertionError


def test_where_nobody_observes_no_request_becomes_a_span() -> None:
    server = build_server(_never, lambda _context: Caller(AgentName("alice")))

    observe(server, NO_TELEMETRY, lambda _context: Caller(AgentName("alice")))

    explained, _answered = server.middleware
    assert explained == explain_refusals
