"""`docs/tools.md` documents what clients see, and says the same numbers."""

import hashlib
import json
import re
from typing import get_args
from uuid import UUID

import pytest
import rfc8785

from diary_mcp.domain.errors import ErrorCode
from diary_mcp.domain.fields import parse_time
from diary_mcp.domain.version import Version, content_hash
from diary_mcp.package_data import resource_path
from diary_mcp.server.build import INSTRUCTIONS
from diary_mcp.server.prompts.prompt_files import load_prompts
from diary_mcp.server.resources.completions import SUGGESTIONS
from diary_mcp.server.resources.resources import DOCUMENTS, TEMPLATES
from diary_mcp.server.tools.catalogue import HTTP_TOOLS
from diary_mcp.server.tools.results import EntryResult
from support.clients import Json
from support.listed_tools import tools_list
from support.paths import ROOT

DOCS = (ROOT / "docs" / "tools.md").read_text("utf-8")
SECTIONS = {
    match[1]: match[2]
    for match in re.finditer(r"^### `(\w+)`\n(.*?)(?=^##|\Z)", DOCS, re.MULTILINE | re.DOTALL)
}
ARGUMENTS: list[tuple[str, str, Json]] = [
    (tool["name"], name, schema)
    for tool in tools_list()
    for name, schema in tool["inputSchema"]["properties"].items()
]


def row(text: str, name: str) -> str:
    """The row of a table that begins with `name`."""
    found = re.search(rf"^\| `{re.escape(name)}` \|(.*)\|$", text, re.MULTILINE)
    assert found is not None, f"{name} has no row"
    return found[1]


def limits(schema: Json) -> list[str]:
    """The numbers and words of a schema as the page writes them."""
    numbers = [schema[name] for name in ("minLength", "maxLength", "minimum", "maximum", "maxItems")
               if name in schema]  # fmt: skip
    words = [f"`{word}`" for word in schema.get("enum", [])]
    inner = limits(schema["items"]) if "items" in schema else []
    return [*(f"{number:,}" for number in numbers), *words, *inner]


def test_every_tool_has_a_section_and_every_section_a_tool() -> None:
    assert set(SECTIONS) == set(HTTP_TOOLS)


@pytest.mark.parametrize(("tool", "name", "schema"), ARGUMENTS, ids=lambda value: str(value)[:30])
def test_an_argument_is_documented_with_its_limits_and_default(
    tool: str, name: str, schema: Json
) -> None:
    text = row(SECTIONS[tool], name)

    assert [limit for limit in limits(schema) if limit not in text] == []
    if "default" in schema and schema["default"] != "":
        default = str(schema["default"])
        assert f"default {default.lower()}" in text or f"default `{default}`" in text


@pytest.mark.parametrize("tool", tools_list(), ids=lambda tool: tool["name"])
def test_required_arguments_are_said_to_be_required(tool: Json) -> None:
    section = SECTIONS[tool["name"]]
    documented = re.findall(r"^\| `(\w+)` \| required;", section, re.MULTILINE)

    assert sorted(documented) == sorted(tool["inputSchema"].get("required", []))


@pytest.mark.parametrize("tool", tools_list(), ids=lambda tool: tool["name"])
def test_every_field_of_a_result_is_documented(tool: Json) -> None:
    section = SECTIONS[tool["name"]]
    schema = tool["outputSchema"]
    fields = schema.get("properties", schema.get("description", "").split(", "))

    returns_an_entry = "id" in fields
    assert returns_an_entry or [name for name in fields if f"`{name}`" not in section] == []


def test_every_field_of_an_entry_is_documented() -> None:
    assert [name for name in EntryResult.model_fields if f"`{name}`" not in DOCS] == []


def test_the_instructions_stand_in_the_documentation_too() -> None:
    install = (ROOT / "docs" / "install.md").read_text("utf-8")

    assert INSTRUCTIONS in install


def test_every_error_code_is_documented() -> None:
    for code in get_args(ErrorCode):
        assert row(DOCS, code)


def test_every_resource_is_documented() -> None:
    for address in (*DOCUMENTS, *(template.uri_template for template in TEMPLATES)):
        assert row(DOCS, address)


def test_every_prompt_is_documented_with_its_arguments() -> None:
    for prompt in load_prompts(resource_path("prompts")).values():
        arguments = row(DOCS, prompt.name).split("|")[0]

        documented = re.findall(r"`(\w+)`( \(required\))?", arguments)
        assert documented == [
            (argument.name, " (required)" if argument.required else "")
            for argument in prompt.arguments
        ]


def test_every_completion_is_documented() -> None:
    _, completions = DOCS.split("## Completions")

    assert [name for name in SUGGESTIONS if f"`{name}`" not in completions] == []


def test_the_example_of_the_content_hash_is_right() -> None:
    example = re.search(r"```json\n(.*?)\n```\n\n```text\n(.*?)\n```", DOCS, re.DOTALL)

    assert example is not None
    canonical, documented = example[1], example[2]
    entry = json.loads(canonical)
    assert rfc8785.dumps(entry) == canonical.encode()
    assert f"sha256:{hashlib.sha256(canonical.encode()).hexdigest()}" == documented
    entry["id"], entry["date"] = UUID(entry["id"]), parse_time(entry["date"])
    version = Version(**entry, updated_at=entry["date"], content_hash="")
    assert content_hash(version) == documented
