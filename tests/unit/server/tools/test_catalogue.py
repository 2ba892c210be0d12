"""The tools as clients see them, without running any."""

import json
import re

import jsonschema
import pytest

from diary_mcp.server.tools.catalogue import HTTP_TOOLS, TOOLS
from diary_mcp.server.tools.results import EntryResult
from diary_mcp.server.tools.schemas import tool_schemas
from support.clients import Json
from support.listed_tools import tools_list
from support.tool_schemas import derive_schemas

# Over HTTP; on stdio without the two tools for signing.
LISTED = tools_list()
CONTRACT = {
    "diary_create": ["content"],
    "diary_get": ["entry_id"],
    "diary_list": [],
    "diary_search": ["query"],
    "diary_update": ["entry_id", "expected_version"],
    "diary_delete": ["entry_id"],
    "diary_share": ["with"],
    "diary_unshare": ["with"],
    "diary_shares": [],
    "diary_diaries": [],
    "diary_reflect": [],
    "diary_tags": [],
    "diary_verify": [],
    "diary_whoami": [],
    "diary_signature_request": [],
    "diary_sign": ["request_id", "signature"],
}
MAX_CHARACTERS = 16_000
ROOM_FOR_LATER_TOOLS = 1_000


def by_name(tool: Json) -> str:
    return str(tool["name"])


def test_the_schemas_that_are_kept_are_those_of_the_models() -> None:
    assert tool_schemas() == derive_schemas(), (
        "schemas.json differs from what the models say; if that is meant, run "
        "`PYTHONPATH=tests python -m support.tool_schemas` and review the difference"
    )


def test_the_tools_are_those_of_the_contract() -> None:
    required = {tool["name"]: tool["inputSchema"].get("required", []) for tool in LISTED}

    assert required == CONTRACT


def test_all_tools_together_stay_small_and_leave_room_for_later_ones() -> None:
    on_stdio = [tool for tool in LISTED if tool["name"] in TOOLS]
    on_the_wire = json.dumps({"tools": on_stdio}, separators=(",", ":"))
    on_stdio_with_spaces = json.dumps({"tools": on_stdio})
    over_http = json.dumps({"tools": LISTED}, separators=(",", ":"))

    assert len(on_the_wire) <= MAX_CHARACTERS - ROOM_FOR_LATER_TOOLS
    assert len(on_stdio_with_spaces) <= MAX_CHARACTERS
    assert len(over_http) <= MAX_CHARACTERS


@pytest.mark.parametrize("tool", LISTED, ids=by_name)
def test_a_tool_has_a_name_that_every_client_takes(tool: Json) -> None:
    assert re.fullmatch(r"[a-z0-9_-]{1,64}", tool["name"])


@pytest.mark.parametrize("tool", LISTED, ids=by_name)
def test_a_tool_says_what_it_is_for_and_what_it_does(tool: Json) -> None:
    hints = tool["annotations"]

    assert tool["title"]
    assert 50 < len(tool["description"]) < 300
    assert hints["openWorldHint"] is False
    reads = HTTP_TOOLS[tool["name"]].scope == "diary:read" and tool["name"] != "diary_diaries"
    assert hints["readOnlyHint"] == reads
    if not hints["readOnlyHint"]:
        assert hints["destructiveHint"] == (tool["name"] in {"diary_delete", "diary_unshare"})


@pytest.mark.parametrize("tool", LISTED, ids=by_name)
def test_a_tools_schemas_are_valid_and_refuse_unknown_arguments(tool: Json) -> None:
    for schema in (tool["inputSchema"], tool["outputSchema"]):
        jsonschema.Draft202012Validator.check_schema(schema)
        assert schema["type"] == "object"
    assert tool["inputSchema"]["additionalProperties"] is False


@pytest.mark.parametrize("tool", LISTED, ids=by_name)
def test_every_argument_has_a_type_and_a_limit(tool: Json) -> None:
    limits = {"maxLength", "maximum", "maxItems", "enum", "items"}
    free = {"since", "until", "date", "expires_at", "expected_version", "version", "from"}

    for name, schema in tool["inputSchema"]["properties"].items():
        assert schema["type"], name
        is_limited = schema["type"] == "boolean" or limits & schema.keys()
        assert is_limited or name in free, name


def test_one_tool_spells_out_every_field_of_an_entry() -> None:
    (described,) = (tool for tool in LISTED if tool["name"] == "diary_get")

    assert set(described["outputSchema"]["properties"]) == set(EntryResult.model_fields)
