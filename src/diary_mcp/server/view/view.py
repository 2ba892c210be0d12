"""The view: results to look at, in a host that has MCP Apps (`io.modelcontextprotocol/ui`).

It is one HTML document for every tool that has a view. The host shows it in a sandbox, and hands
it the result that the model got; what people open from there it asks for by way of the host, so
it reaches what that client reaches and no more. Nothing of it goes to the model.
"""

import re
from functools import cache
from importlib.resources import files

from mcp_types import TextResourceContents

from diary_mcp.server.dispatch import RequestContext
from diary_mcp.server.view.apps import APP_MIME_TYPE, client_supports_apps

VIEW_URI = "ui://diary"
_PLACE = re.compile(r"\{\{ ([a-z.]+) \}\}\n")


def may_show_views(context: RequestContext) -> bool:
    """Whether the client has said that it has MCP Apps, or nobody knows.

    Over HTTP up to protocol 2025-11-25 nobody does: a client says so once, and no session is kept.
    """
    return context.session.client_capabilities is None or client_supports_apps(context)


def view_contents() -> TextResourceContents:
    """The view as a resource. It is the same for everybody, and holds nothing of a diary.

    It asks for no other host, so that the extension's default policy is all it needs.
    """
    return TextResourceContents(
        uri=VIEW_URI,
        mime_type=APP_MIME_TYPE,
        text=view_html(),
        _meta={"ui": {"prefersBorder": True}},
    )


@cache
def view_html() -> str:
    """The document, with its styles and scripts in their places."""
    folder = files("diary_mcp.server.view")
    html = folder.joinpath("view.html").read_text("utf-8")
    return _PLACE.sub(lambda place: folder.joinpath(place[1]).read_text("utf-8"), html)
