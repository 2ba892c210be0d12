"""Errors as the model reads them: a code, what is wrong, and what to do next."""

from collections.abc import Iterable

import structlog
from mcp_types import CallToolResult, TextContent
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from diary_mcp.domain.errors import DiaryError

_log = structlog.get_logger()
_MOST_PROBLEMS_TOLD = 5


def error_result(error: Exception, tool: str) -> CallToolResult:
    """The tool result that tells `error`; what is no `DiaryError` is logged, not told."""
    if isinstance(error, DiaryError):
        return _result(error.code, str(error))
    _log.exception("tool.failed", tool=tool, exc_info=error)
    return _result(
        "internal",
        f"{tool} failed for a reason that is in the server's log. Try again; if it happens "
        "again, run `diary-mcp status` and report it.",
    )


def invalid_arguments(error: ValidationError, tool: str, known: Iterable[str]) -> CallToolResult:
    """The tool result for arguments that do not fit the tool's schema."""
    problems = [_problem(details, known) for details in error.errors(include_url=False)]
    told = "; ".join(problems[:_MOST_PROBLEMS_TOLD])
    return _result("invalid_argument", f"{told}. Correct this and call {tool} again.")


def unknown_tool(name: str, known: Iterable[str]) -> CallToolResult:
    """The tool result for a tool that is not there."""
    return _result("not_found", f"There is no tool {name!a}; there are {', '.join(known)}.")


def _problem(details: ErrorDetails, known: Iterable[str]) -> str:
    # `!a` keeps what cannot be encoded, such as a lone surrogate, out of the answer.
    path = ".".join(f"{part!a}".strip("'") for part in details["loc"])
    match details["type"]:
        case "extra_forbidden":
            return f"unknown argument {path!r} (known: {', '.join(known) or 'none'})"
        case "missing":
            return f"{path} is required"
        case "string_unicode":
            return f"{path} must not contain lone surrogates"
        case _:
            told = details["msg"].removeprefix("Value error, ").removeprefix("Input ")
            return f"{path} {told}"


def _result(code: str, text: str) -> CallToolResult:
    return CallToolResult(content=[TextContent(type="text", text=f"{code}: {text}")], is_error=True)
