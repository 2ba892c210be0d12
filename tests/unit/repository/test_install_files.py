"""What registries and clients install from agrees with the package."""

import json
import re
import tomllib

import jsonschema
import pytest
import yaml

from diary_mcp.commands.config import CLIENTS
from diary_mcp.domain.fields import NAME_PATTERN
from diary_mcp.plugins.client_files import HOOK_EVENTS
from diary_mcp.server.tools.catalogue import TOOLS
from diary_mcp.settings import ENVIRONMENT_PREFIX, Settings
from support.clients import Json
from support.paths import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
REGISTRY: Json = json.loads((ROOT / "server.json").read_text("utf-8"))
BUNDLE: Json = json.loads((ROOT / "deploy" / "mcpb" / "manifest.json").read_text("utf-8"))
VARIABLES = {f"{ENVIRONMENT_PREFIX}{name.upper()}" for name in Settings.model_fields}

INPUT = {
    "type": "object",
    "required": ["name"],
    "properties": {
        "name": {"type": "string"},
        "description": {"type": "string"},
        "default": {"type": "string"},
        "placeholder": {"type": "string"},
        "format": {"enum": ["string", "number", "boolean", "filepath"]},
        "isSecret": {"type": "boolean"},
        "isRequired": {"type": "boolean"},
    },
    "additionalProperties": False,
}
# The part of the registry's schema of 2025-12-11 that this project uses.
REGISTRY_SCHEMA = {
    "type": "object",
    "required": ["$schema", "name", "description", "version", "packages"],
    "properties": {
        "$schema": {
            "const": "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json"
        },
        "name": {"pattern": r"^[a-zA-Z0-9.-]+/[a-zA-Z0-9._-]+$", "maxLength": 200},
        "title": {"type": "string", "minLength": 1, "maxLength": 100},
        "description": {"type": "string", "minLength": 1, "maxLength": 100},
        "version": {"type": "string", "pattern": r"^\d+\.\d+\.\d+$"},
        "packages": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["registryType", "identifier", "version", "transport"],
                "properties": {
                    "registryType": {"const": "pypi"},
                    "identifier": {"type": "string"},
                    "version": {"type": "string", "pattern": r"^\d+\.\d+\.\d+$"},
                    "runtimeHint": {"const": "uvx"},
                    "transport": {
                        "type": "object",
                        "properties": {"type": {"const": "stdio"}},
                        "additionalProperties": False,
                    },
                    "packageArguments": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "required": ["type", "value"],
                            "properties": {
                                "type": {"const": "positional"},
                                "value": {"type": "string"},
                            },
                            "additionalProperties": False,
                        },
                    },
                    "environmentVariables": {"type": "array", "items": INPUT},
                },
                "additionalProperties": False,
            },
        },
    },
    "additionalProperties": False,
}


@pytest.mark.parametrize("client", CLIENTS)
def test_the_page_on_installing_has_every_client(client: str) -> None:
    page = (ROOT / "docs" / "install.md").read_text("utf-8")

    assert f"| `diary-mcp config {client}` |" in page


@pytest.mark.parametrize("client", CLIENTS)
def test_the_readme_shows_how_each_client_is_connected(client: str) -> None:
    readme = (ROOT / "README.md").read_text("utf-8")

    verb = "config" if client == "inspector" else "install"
    assert f"diary-mcp {verb} {client}" in readme
    assert "`deploy/mcpb/build diary-mcp.mcpb`" in readme


def test_the_plugin_is_of_this_version_and_stands_in_both_marketplaces() -> None:
    plugins = ROOT / "src" / "diary_mcp" / "plugins"
    plugin = json.loads((plugins / "claude-code/.claude-plugin/plugin.json").read_text("utf-8"))
    hooks = json.loads((plugins / "claude-code/hooks/hooks.json").read_text("utf-8"))["hooks"]

    assert (plugin["name"], plugin["version"]) == ("diary", PROJECT["version"])
    assert tuple(hooks) == HOOK_EVENTS
    for folder in (ROOT, plugins):
        market = json.loads((folder / ".claude-plugin" / "marketplace.json").read_text("utf-8"))
        (listed,) = market["plugins"]
        assert (market["name"], listed["name"]) == ("diary-mcp", "diary")
        assert (folder / listed["source"] / ".claude-plugin" / "plugin.json").is_file()


def test_the_registrys_entry_has_its_form() -> None:
    jsonschema.validate(REGISTRY, REGISTRY_SCHEMA)


def test_the_registrys_entry_is_of_this_package_and_version() -> None:
    (package,) = REGISTRY["packages"]

    assert package["identifier"] == PROJECT["name"]
    assert REGISTRY["version"] == package["version"] == PROJECT["version"]
    assert [argument["value"] for argument in package["packageArguments"]] == ["serve"]


def test_the_registrys_variables_are_settings_and_the_address_is_a_secret() -> None:
    variables = {each["name"]: each for each in REGISTRY["packages"][0]["environmentVariables"]}

    assert variables.keys() <= VARIABLES
    assert variables["DIARY_MCP_DATABASE_URL"]["isSecret"] is True
    assert variables["DIARY_MCP_AGENT"]["default"] == Settings.model_fields["agent"].default


def test_the_bundle_is_of_this_package_and_version() -> None:
    assert (BUNDLE["name"], BUNDLE["version"]) == (PROJECT["name"], PROJECT["version"])
    assert BUNDLE["compatibility"]["runtimes"]["python"] == PROJECT["requires-python"]
    assert BUNDLE["license"] == PROJECT["license"]


def test_a_tag_is_checked_and_built_before_anything_is_published() -> None:
    workflow = yaml.safe_load((ROOT / ".github/workflows/release.yml").read_text("utf-8"))
    runs = [step["run"] for step in workflow["jobs"]["release"]["steps"] if "run" in step]

    assert runs[0] == ".ci/run"
    assert runs[1].endswith(' deploy/release dist "$GITHUB_REF_NAME"')
    assert (
        len([run for run in runs[2:] if "publish" in run or "push" in run or "create" in run]) == 3
    )


def test_the_bundle_lists_every_tool() -> None:
    assert BUNDLE["tools"] == [
        {"name": tool.name, "description": tool.title} for tool in TOOLS.values()
    ]


def test_the_bundle_asks_for_settings_and_needs_none() -> None:
    environment = BUNDLE["server"]["mcp_config"]["env"]
    asked = {f"${{user_config.{name}}}" for name in BUNDLE["user_config"]}

    assert environment.keys() <= VARIABLES
    assert set(environment.values()) == asked
    # An option without a default would reach the server as the text `${user_config.…}`.
    assert all("default" in option for option in BUNDLE["user_config"].values())
    assert not any(option["required"] for option in BUNDLE["user_config"].values())
    assert BUNDLE["user_config"]["database_url"]["sensitive"] is True


def test_the_bundles_agent_has_a_name_that_agents_may_have() -> None:
    assert re.fullmatch(NAME_PATTERN, BUNDLE["user_config"]["agent"]["default"])


@pytest.mark.parametrize("described", [REGISTRY, BUNDLE], ids=["registry", "bundle"])
def test_a_store_shows_a_short_description(described: Json) -> None:
    assert 20 < len(described["description"]) <= 100
