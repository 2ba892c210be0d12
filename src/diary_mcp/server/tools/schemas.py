"""The tools' JSON Schemas, as they stand in `schemas.json`.

Deriving them from the models takes a tenth of the time from `initialize` to a first result.
`tests/support/tool_schemas.py` does so, and a test compares.
"""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import TypedDict, cast

from pydantic import JsonValue
from pydantic_core import from_json

Schema = dict[str, JsonValue]


class ToolSchemas(TypedDict):
    input: Schema
    """What a client may send. `null` counts as left out and is not listed."""

    output: Schema
    """The shape of the structured content, and what the absence of a field means."""


@cache
def tool_schemas() -> Mapping[str, ToolSchemas]:
    """Those of each tool, by its name."""
    text = files("diary_mcp.server.tools").joinpath("schemas.json").read_bytes()
    return cast("Mapping[str, ToolSchemas]", from_json(text))


def as_object(value: JsonValue) -> Schema:
    if not isinstance(value, dict):
        raise TypeError(f"not a JSON object: {value!r}")
    return value
