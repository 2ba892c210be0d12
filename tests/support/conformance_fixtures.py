"""The tools, resources and prompts that the conformance suite asks for by name. Never shipped.

They are put beside the diary's own: whatever has another name still reaches the product's handlers.
"""

import base64
from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio
from mcp.server.context import HandlerResult
from mcp.shared.message import ServerMessageMetadata
from mcp_types import (
    AudioContent,
    BlobResourceContents,
    CallToolRequestParams,
    CallToolResult,
    ContentBlock,
    CreateMessageRequest,
    CreateMessageRequestParams,
    CreateMessageResult,
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitResult,
    EmbeddedResource,
    EmptyResult,
    GetPromptRequestParams,
    GetPromptResult,
    ImageContent,
    ListPromptsResult,
    ListResourcesResult,
    ListToolsResult,
    LoggingMessageNotification,
    LoggingMessageNotificationParams,
    PaginatedRequestParams,
    Prompt,
    PromptArgument,
    PromptMessage,
    ReadResourceRequestParams,
    ReadResourceResult,
    RequestParams,
    Resource,
    SamplingMessage,
    SetLevelRequestParams,
    SubscribeRequestParams,
    TextContent,
    TextResourceContents,
    Tool,
    UnsubscribeRequestParams,
)

from diary_mcp.server.build import DiaryServer
from diary_mcp.server.dispatch import RequestContext
from support.clients import Json

Params = TypeVar("Params", bound=RequestParams)
Run = Callable[[RequestContext, Json], Awaitable[CallToolResult]]

_PAUSE_S = 0.05
_PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC"
)
_WAV = b"RIFF$\0\0\0WAVEfmt \x10\0\0\0\1\0\1\0\x40\x1f\0\0\x40\x1f\0\0\1\0\x08\0data\0\0\0\0"
_IMAGE = ImageContent(data=base64.b64encode(_PNG).decode(), mime_type="image/png")
_NAME_AND_MAIL: Json = {
    "type": "object",
    "properties": {
        "username": {"type": "string", "description": "User's response"},
        "email": {"type": "string", "description": "User's email address"},
    },
    "required": ["username", "email"],
}
_DEFAULTS: Json = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "default": "John Doe"},
        "age": {"type": "integer", "default": 30},
        "score": {"type": "number", "default": 95.5},
        "status": {
            "type": "string",
            "enum": ["active", "inactive", "pending"],
            "default": "active",
        },
        "verified": {"type": "boolean", "default": True},
    },
    "required": [],
}
_OPTIONS = ["option1", "option2", "option3"]
_TITLED = [
    {"const": f"value{number}", "title": title}
    for number, title in enumerate(("First", "Second", "Third"), 1)
]
_ENUMS: Json = {
    "type": "object",
    "properties": {
        "untitledSingle": {"type": "string", "enum": _OPTIONS},
        "titledSingle": {"type": "string", "oneOf": _TITLED},
        "legacyEnum": {
            "type": "string",
            "enum": ["opt1", "opt2", "opt3"],
            "enumNames": ["Option One", "Option Two", "Option Three"],
        },
        "untitledMulti": {"type": "array", "items": {"type": "string", "enum": _OPTIONS}},
        "titledMulti": {"type": "array", "items": {"anyOf": _TITLED}},
    },
    "required": [],
}
_SCHEMA_2020_12: Json = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "$defs": {
        "address": {
            "type": "object",
            "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
        }
    },
    "properties": {"name": {"type": "string"}, "address": {"$ref": "#/$defs/address"}},
    "additionalProperties": False,
}


def add_fixtures(server: DiaryServer) -> None:
    """Puts the suite's fixtures beside what the server has."""
    _extend(server, "tools/list", PaginatedRequestParams, _list_tools)
    _prefer(server, "tools/call", CallToolRequestParams, _call_tool)
    _extend(server, "resources/list", PaginatedRequestParams, _list_resources)
    _prefer(server, "resources/read", ReadResourceRequestParams, _read_resource)
    _extend(server, "prompts/list", PaginatedRequestParams, _list_prompts)
    _prefer(server, "prompts/get", GetPromptRequestParams, _get_prompt)
    _prefer(server, "resources/subscribe", SubscribeRequestParams, _acknowledge_watched)
    _prefer(server, "resources/unsubscribe", UnsubscribeRequestParams, _acknowledge_watched)
    server.add_request_handler("logging/setLevel", SetLevelRequestParams, _acknowledge)


def _prefer(
    server: DiaryServer,
    method: str,
    params_type: type[Params],
    answer: Callable[[RequestContext, Params], Awaitable[HandlerResult]],
) -> None:
    """Lets `answer` go first; where it gives nothing, the product's handler answers."""
    product = server.get_request_handler(method)
    assert product is not None

    async def handle(context: RequestContext, params: Params) -> HandlerResult:
        return await answer(context, params) or await product.handler(context, params)

    server.add_request_handler(method, params_type, handle)


def _extend(
    server: DiaryServer,
    method: str,
    params_type: type[Params],
    extend: Callable[[HandlerResult], HandlerResult],
) -> None:
    """Adds to what the product lists."""
    product = server.get_request_handler(method)
    assert product is not None

    async def handle(context: RequestContext, params: Params) -> HandlerResult:
        return extend(await product.handler(context, params))

    server.add_request_handler(method, params_type, handle)


def _text(text: str) -> CallToolResult:
    return CallToolResult(content=[TextContent(text=text)])


def _fixed(*content: ContentBlock) -> Run:
    async def run(_context: RequestContext, _arguments: Json) -> CallToolResult:
        return CallToolResult(content=list(content))

    return run


def _resource(uri: str, mime_type: str, text: str) -> EmbeddedResource:
    return EmbeddedResource(resource=TextResourceContents(uri=uri, mime_type=mime_type, text=text))


async def _fail(_context: RequestContext, _arguments: Json) -> CallToolResult:
    text = TextContent(text="This tool intentionally returns an error for testing")
    return CallToolResult(content=[text], is_error=True)


async def _log(context: RequestContext, _arguments: Json) -> CallToolResult:
    for step in ("Tool execution started", "Tool processing data", "Tool execution completed"):
        params = LoggingMessageNotificationParams(level="info", data=step)
        await context.session.send_notification(
            LoggingMessageNotification(params=params), related_request_id=context.request_id
        )
        await anyio.sleep(_PAUSE_S)
    return _text("Logged three times.")


async def _progress(context: RequestContext, _arguments: Json) -> CallToolResult:
    for done in (0, 50, 100):
        await context.session.report_progress(done, 100)
        await anyio.sleep(_PAUSE_S)
    return _text("Progress was told three times.")


async def _sample(context: RequestContext, arguments: Json) -> CallToolResult:
    message = SamplingMessage(role="user", content=TextContent(text=str(arguments["prompt"])))
    request = CreateMessageRequest(
        params=CreateMessageRequestParams(messages=[message], max_tokens=100)
    )
    result = await context.session.send_request(
        request, CreateMessageResult, metadata=_related(context)
    )
    return _text(f"LLM response: {getattr(result.content, 'text', '')}")


def _ask(schema: Json, form: str) -> Run:
    async def run(context: RequestContext, arguments: Json) -> CallToolResult:
        params = ElicitRequestFormParams(
            message=str(arguments.get("message", "Please answer.")), requested_schema=schema
        )
        result = await context.session.send_request(
            ElicitRequest(params=params), ElicitResult, metadata=_related(context)
        )
        return _text(form.format(result.action, result.content))

    return run


def _related(context: RequestContext) -> ServerMessageMetadata:
    return ServerMessageMetadata(related_request_id=context.request_id)


_TOOLS: dict[str, Run] = {
    "test_simple_text": _fixed(TextContent(text="This is a simple text response for testing.")),
    "test_image_content": _fixed(_IMAGE),
    "test_audio_content": _fixed(
        AudioContent(data=base64.b64encode(_WAV).decode(), mime_type="audio/wav")
    ),
    "test_embedded_resource": _fixed(
        _resource("test://embedded-resource", "text/plain", "This is an embedded resource content.")
    ),
    "test_multiple_content_types": _fixed(
        TextContent(text="Multiple content types test:"),
        _IMAGE,
        _resource(
            "test://mixed-content-resource", "application/json", '{"test":"data","value":123}'
        ),
    ),
    "test_tool_with_logging": _log,
    "test_tool_with_progress": _progress,
    "test_error_handling": _fail,
    "test_sampling": _sample,
    "test_elicitation": _ask(_NAME_AND_MAIL, "User response: action={}, content={}"),
    "test_elicitation_sep1034_defaults": _ask(
        _DEFAULTS, "Elicitation completed: action={}, content={}"
    ),
    "test_elicitation_sep1330_enums": _ask(_ENUMS, "Elicitation completed: action={}, content={}"),
    "test_reconnection": _fixed(TextContent(text="Reconnected.")),
    "json_schema_2020_12_tool": _fixed(TextContent(text="Done.")),
}
_RESOURCES = {
    "test://static-text": TextResourceContents(
        uri="test://static-text",
        mime_type="text/plain",
        text="This is the content of the static text resource.",
    ),
    "test://static-binary": BlobResourceContents(
        uri="test://static-binary", mime_type="image/png", blob=base64.b64encode(_PNG).decode()
    ),
    "test://template/123/data": TextResourceContents(
        uri="test://template/123/data",
        mime_type="application/json",
        text='{"id":"123","templateTest":true,"data":"Data for ID: 123"}',
    ),
    "test://watched-resource": TextResourceContents(
        uri="test://watched-resource", mime_type="text/plain", text="Watched."
    ),
}
_PROMPTS = {
    "test_simple_prompt": (),
    "test_prompt_with_arguments": ("arg1", "arg2"),
    "test_prompt_with_embedded_resource": ("resourceUri",),
    "test_prompt_with_image": (),
}


def _list_tools(listed: HandlerResult) -> HandlerResult:
    assert isinstance(listed, ListToolsResult)
    plain: Json = {"type": "object"}
    fixtures = [
        Tool(
            name=name,
            description=f"{name} of the conformance suite.",
            input_schema=_SCHEMA_2020_12 if name == "json_schema_2020_12_tool" else plain,
        )
        for name in _TOOLS
    ]
    return ListToolsResult(tools=[*listed.tools, *fixtures])


async def _call_tool(context: RequestContext, params: CallToolRequestParams) -> HandlerResult:
    run = _TOOLS.get(params.name)
    return None if run is None else await run(context, params.arguments or {})


def _list_resources(listed: HandlerResult) -> HandlerResult:
    assert isinstance(listed, ListResourcesResult)
    fixtures = [Resource(uri=uri, name=uri.rpartition("/")[2]) for uri in _RESOURCES]
    return listed.model_copy(update={"resources": [*listed.resources, *fixtures]})


async def _read_resource(
    _context: RequestContext, params: ReadResourceRequestParams
) -> HandlerResult:
    contents = _RESOURCES.get(params.uri)
    return None if contents is None else ReadResourceResult(contents=[contents])


def _list_prompts(listed: HandlerResult) -> HandlerResult:
    assert isinstance(listed, ListPromptsResult)
    fixtures = [
        Prompt(
            name=name,
            description=f"{name} of the conformance suite.",
            arguments=[PromptArgument(name=each, required=True) for each in arguments],
        )
        for name, arguments in _PROMPTS.items()
    ]
    return ListPromptsResult(prompts=[*listed.prompts, *fixtures])


async def _get_prompt(_context: RequestContext, params: GetPromptRequestParams) -> HandlerResult:
    given = params.arguments or {}
    match params.name:
        case "test_simple_prompt":
            content = [TextContent(text="This is a simple prompt for testing.")]
        case "test_prompt_with_arguments":
            values = f"arg1='{given['arg1']}', arg2='{given['arg2']}'"
            content = [TextContent(text=f"Prompt with arguments: {values}")]
        case "test_prompt_with_embedded_resource":
            embedded = _resource(given["resourceUri"], "text/plain", "Embedded for testing.")
            content = [embedded, TextContent(text="Please process it.")]
        case "test_prompt_with_image":
            content = [_IMAGE, TextContent(text="Please analyze the image above.")]
        case _:
            return None
    return GetPromptResult(messages=[PromptMessage(role="user", content=each) for each in content])


async def _acknowledge_watched(
    _context: RequestContext, params: SubscribeRequestParams | UnsubscribeRequestParams
) -> HandlerResult:
    return EmptyResult() if params.uri in _RESOURCES else None


async def _acknowledge(_context: RequestContext, _params: SetLevelRequestParams) -> HandlerResult:
    return EmptyResult()
