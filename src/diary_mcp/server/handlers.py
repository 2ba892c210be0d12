"""What answers requests, all of one server; imported with the first of them."""

from dataclasses import dataclass

from diary_mcp.server.dispatch import Dispatcher
from diary_mcp.server.prompts.prompts import Prompts
from diary_mcp.server.resources.completions import Completions
from diary_mcp.server.resources.resources import Resources
from diary_mcp.server.resources.subscriptions import Subscriptions
from diary_mcp.server.resources.watchers import Watchers
from diary_mcp.server.tools.calls import ToolCalls
from diary_mcp.server.tools.catalogue import HTTP_TOOLS, TOOLS


@dataclass(frozen=True)
class Handlers:
    tools: ToolCalls
    resources: Resources
    subscriptions: Subscriptions
    prompts: Prompts
    completions: Completions


def make_handlers(dispatcher: Dispatcher, watchers: Watchers, *, has_keys: bool) -> Handlers:
    """Those of a server whose callers' entries are signed here, or that has no keys."""
    return Handlers(
        ToolCalls(dispatcher, TOOLS if has_keys else HTTP_TOOLS),
        Resources(dispatcher),
        Subscriptions(dispatcher, watchers),
        Prompts(dispatcher),
        Completions(dispatcher),
    )
