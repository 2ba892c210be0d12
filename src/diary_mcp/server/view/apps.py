"""MCP Apps, by its names on the wire.

The SDK has them too, in a module that imports its other server with an HTTP client, which no
server of ours needs (`test_the_names_of_mcp_apps_are_the_sdks`).
"""

from mcp.server.context import ServerRequestContext

EXTENSION_ID = "io.modelcontextprotocol/ui"
APP_MIME_TYPE = "text/html;profile=mcp-app"


def client_supports_apps(context: ServerRequestContext[object]) -> bool:
    """Whether the client has said that it has the extension, and shows HTML by it."""
    capabilities = context.session.client_capabilities
    extensions = capabilities.extensions if capabilities else None
    said = extensions.get(EXTENSION_ID) if extensions else None
    mime_types: object = said.get("mimeTypes") if said else None
    return isinstance(mime_types, list | tuple) and APP_MIME_TYPE in mime_types
