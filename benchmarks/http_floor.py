"""What HTTP alone costs, and HTTP with the MCP SDK: `http_floor.py starlette|sdk PORT`.

Both hold texts in memory, and run on uvicorn as diary-mcp does.
"""

import sys

import uvicorn
from mcp.server import MCPServer
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

entries: list[str] = []


async def answer(request: Request) -> JSONResponse:
    """Takes the request apart, and answers with a text."""
    arguments = (await request.json())["params"]["arguments"]
    entries[:] = [str(arguments.get("content", "nothing"))]
    return JSONResponse({"jsonrpc": "2.0", "id": 1, "result": {"content": entries}})


def starlette() -> Starlette:
    return Starlette(routes=[Route("/mcp", answer, methods=["POST"])])


def sdk() -> Starlette:
    server = MCPServer("bare", log_level="WARNING")

    @server.tool()
    def create(content: str) -> str:
        """Keep a text."""
        entries[:] = [content]
        return content

    return server.streamable_http_app(json_response=True, stateless_http=True)


if __name__ == "__main__":
    app = {"starlette": starlette, "sdk": sdk}[sys.argv[1]]()
    uvicorn.run(app, port=int(sys.argv[2]), log_level="warning", access_log=False)
