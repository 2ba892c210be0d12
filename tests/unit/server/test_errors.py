"""Errors as a client reads them, and what of them is logged."""

import pytest
from mcp_types import CallToolResult, TextContent
from pydantic import ValidationError
from structlog.testing import capture_logs

from diary_mcp.domain.errors import InvalidArgumentError, NotFoundError
from diary_mcp.server.errors import (
    error_result,
    invalid_arguments,
    protocol_error,
    unknown_tool,
)
from diary_mcp.server.tools.arguments import ShareArguments

LONG = "x" * 1_000_000
ERA = "2025-11-25"


def text(result: CallToolResult) -> str:
    (block,) = result.content
    assert isinstance(block, TextContent)
    return block.text


def test_a_failure_is_logged_without_the_address_that_was_asked_for() -> None:
    uri = "diary://entries/the%20cat%20Ada"

    with capture_logs() as logged:
        protocol_error(RuntimeError("Ada"), uri, ERA, uri=uri)

    (line,) = logged
    assert (line["event"], line["what"]) == ("request.failed", "resource")


@pytest.mark.parametrize(
    "told",
    [
        text(error_result(InvalidArgumentError(LONG), "diary_get")),
        text(unknown_tool(LONG, ["diary_get"])),
        protocol_error(NotFoundError(LONG), LONG, ERA, uri=LONG).error.model_dump_json(),
    ],
    ids=["tool error", "unknown tool", "protocol error"],
)
def test_no_error_quotes_a_message_back_whole(told: str) -> None:
    assert len(told) < 10_000


def test_an_unknown_tool_is_told_with_those_there_are() -> None:
    assert "diary_get" in text(unknown_tool(LONG, ["diary_get"]))


@pytest.mark.parametrize("given", [{}, {"entry_id": "x", "diary": "y"}], ids=["neither", "both"])
def test_what_is_wrong_with_two_arguments_together_names_both(given: dict[str, str]) -> None:
    with pytest.raises(ValidationError) as refused:
        ShareArguments.model_validate({**given, "with": "bob"})

    assert text(invalid_arguments(refused.value, "diary_share", ())) == (
        "invalid_argument: give either entry_id or diary. Correct this and call diary_share again."
    )
