"""Errors as the model reads them: a code, what is wrong, and what to do next."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from types import MappingProxyType

import structlog
from mcp.shared.exceptions import MCPError
from mcp_types import INTERNAL_ERROR, INVALID_PARAMS, CallToolResult, TextContent
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from diary_mcp.domain.errors import DiaryError, ErrorCode
from diary_mcp.domain.fields import value_problem

_log = structlog.get_logger()
_MAX_PROBLEMS_TOLD = 5
# Of a name, and of a whole text: both may be as long as a message.
_MAX_OF_A_NAME = 100
_MAX_CHARACTERS = 4_000
# Until 2025-11-25 a resource that is not there had a code of its own.
_RESOURCE_NOT_FOUND = -32002
# What models call an argument, besides what looks like its name.
_OTHER_WORDS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "content": frozenset({"text", "body", "message", "markdown", "entry", "note"}),
        "entry_id": frozenset({"id", "uuid", "key", "entry", "reference"}),
        "query": frozenset({"q", "question", "text", "search", "term", "terms", "keywords"}),
        "type": frozenset({"kind", "category", "entry_type"}),
        "types": frozenset({"type", "kind", "category", "entry_type"}),
        "with": frozenset({"grantee", "agent", "user", "to", "group", "share_with"}),
        "since": frozenset({"from", "after", "start", "from_date", "start_date"}),
        "until": frozenset({"to", "before", "end", "to_date", "end_date"}),
        "from": frozenset({"offset", "start", "start_index", "position", "next_from"}),
        "limit": frozenset({"n", "k", "top_k", "max", "count", "size", "page_size", "max_results"}),
        "cursor": frozenset({"page", "offset", "next", "next_cursor"}),
        "importance": frozenset({"priority", "weight"}),
        "supersedes": frozenset({"replaces", "corrects", "closes", "supersede"}),
        "expires_at": frozenset({"expires", "expiry", "until", "ttl"}),
        "author": frozenset({"by", "model", "writer"}),
        "session": frozenset({"session_id", "conversation", "conversation_id", "thread"}),
        "expected_version": frozenset({"version"}),
    }
)


class CallFailedError(Exception):
    """A tool call that failed. Its text is what the caller reads, and begins with a code."""

    def __init__(self, result: CallToolResult) -> None:
        super().__init__(*(part.text for part in result.content if isinstance(part, TextContent)))
        self.result = result


def error_result(error: Exception, tool: str) -> CallToolResult:
    """The tool result that tells `error`; what is no `DiaryError` is logged, not told."""
    return _result(*_told(error, tool, logged=tool))


def protocol_error(
    error: Exception, what: str, protocol_version: str, *, uri: str | None = None
) -> MCPError:
    """The JSON-RPC error that tells `error`; what is no `DiaryError` is logged, not told.

    Its text begins with the same code as a tool error's; its data repeat the code, and the URI of
    the resource that was asked for.
    """
    code, text = _told(error, what, logged=what if uri is None else "resource")
    data = {"code": code} if uri is None else {"code": code, "uri": _shortened(uri)}
    number = _number(code, protocol_version, is_resource=uri is not None)
    return MCPError(number, _shortened(f"{code}: {text}"), data)


def invalid_arguments(error: ValidationError, tool: str, known: Iterable[str]) -> CallToolResult:
    """The tool result for arguments that do not fit the tool's schema."""
    told = _problems(error, known)
    return _result("invalid_argument", f"{told}. Correct this and call {tool} again.")


def tell(error: Exception, what: str) -> tuple[ErrorCode, str]:
    """The code and the text that tell `error` to a person who asked for `what`."""
    if isinstance(error, ValidationError):
        return "invalid_argument", _shortened(
            f"{_problems(error, ())}. Correct this and try again."
        )
    code, text = _told(error, what, logged=what)
    return code, _shortened(text)


def refusal(error: ValidationError | MCPError, method: str) -> MCPError | None:
    """What is told of a request that the SDK refused; `None` where the error says it already."""
    if isinstance(error, ValidationError):
        return _refused(f"{method}: {_problems(error, ())}. Correct this and send it again.")
    if (error.error.code, error.error.data) != (INVALID_PARAMS, ""):
        return None
    # So the SDK says that there was no handshake.
    return _refused(
        f"{method} came before initialize. Send initialize first, and then "
        "notifications/initialized."
    )


def _refused(told: str) -> MCPError:
    text = _shortened(f"invalid_argument: {told}")
    return MCPError(INVALID_PARAMS, text, {"code": "invalid_argument"})


def unknown_tool(name: str, known: Iterable[str]) -> CallToolResult:
    """The tool result for a tool that is not there."""
    return _result(
        "not_found", f"There is no tool {name[:_MAX_OF_A_NAME]!a}; there are {', '.join(known)}."
    )


def _problems(error: ValidationError, known: Iterable[str]) -> str:
    problems = [_problem(details, known) for details in error.errors(include_url=False)]
    return "; ".join(problems[:_MAX_PROBLEMS_TOLD])


def _problem(details: ErrorDetails, known: Iterable[str]) -> str:
    # `!a` keeps what cannot be encoded, such as a lone surrogate, out of the answer.
    path = ".".join(f"{part!a}".strip("'")[:_MAX_OF_A_NAME] for part in details["loc"])
    match details["type"]:
        case "extra_forbidden":
            return f"unknown argument {path!r}{_probably_meant(path, known)}"
        case "missing":
            return f"{path} is required"
        case "string_unicode":
            return f"{path} must not contain lone surrogates"
        case _:
            # What is wrong with several arguments together belongs to none of them.
            return f"{path} {value_problem(details)}".lstrip()


def _probably_meant(name: str, known: Iterable[str]) -> str:
    """The argument that this one was probably meant to be, or else all there are."""
    arguments = list(known)
    meant = [each for each in arguments if name.lower() in _OTHER_WORDS.get(each, ())]
    meant = meant or get_close_matches(name.lower(), arguments, n=1)
    if meant:
        return f"; you probably mean {meant[0]}"
    return f" (known: {', '.join(arguments) or 'none'})"


def _told(error: Exception, what: str, *, logged: str) -> tuple[ErrorCode, str]:
    """The code and the text; `logged` is what the log may call it, made up by no client."""
    if isinstance(error, DiaryError):
        return error.code, str(error)
    _log.exception("request.failed", what=logged, exc_info=error)
    told = (
        f"{what} failed for a reason that is in the server's log. Try again; if it happens "
        "again, run `diary-mcp status` and report it."
    )
    return "internal", told


def _number(code: ErrorCode, protocol_version: str, *, is_resource: bool) -> int:
    match code:
        case "not_found" if is_resource and protocol_version not in MODERN_PROTOCOL_VERSIONS:
            return _RESOURCE_NOT_FOUND
        case "unavailable" | "internal":
            return INTERNAL_ERROR
        case _:
            return INVALID_PARAMS


def _result(code: str, text: str) -> CallToolResult:
    told = _shortened(f"{code}: {text}")
    return CallToolResult(content=[TextContent(type="text", text=told)], is_error=True)


def _shortened(text: str) -> str:
    return text if len(text) <= _MAX_CHARACTERS else f"{text[:_MAX_CHARACTERS]}…"
