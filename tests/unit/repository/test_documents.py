"""What documents say about this tree is so: the paths, tests, commands and settings they name."""

import re
import tomllib
from pathlib import Path

import click
import pytest

from diary_mcp.cli import command as diary_mcp
from diary_mcp.settings import ENVIRONMENT_PREFIX, TOKEN_VARIABLE, Settings
from support.paths import ROOT, TESTS

SOURCE = ROOT / "src" / "diary_mcp"
DOCUMENTS = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
BY_NAME = pytest.mark.parametrize(
    "text",
    [
        pytest.param(path.read_text("utf-8"), id=str(path.relative_to(ROOT)))
        for path in DOCUMENTS
    ],
)  # fmt: skip
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text("utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
CONTRACTS: list[dict[str, list[str]]] = PROJECT["tool"]["importlinter"]["contracts"]
TEST = re.compile(r"^(?:async )?def (test_\w+)", re.MULTILINE)
END_OF_COMMAND = re.compile(r" # | && |[|>…]")
OF_TESTS = re.compile("DIARY_MCP_(TEST_[A-Z_]+|CHAOS_[A-Z_]+)")


def code_in(text: str) -> list[str]:
    """Words in backquotes, and words of the lines of code blocks."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    spans = re.findall(
        r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    )
    return [*spans, *(line for block in blocks for line in block.splitlines())]


def folders_of(base: Path) -> set[str]:
    return {each.name for each in base.iterdir() if each.is_dir()}


def paths_in(text: str) -> set[str]:
    """What is written as a path in this checkout, or in the package."""
    words = {word for code in code_in(text) for word in code.split()}
    beginnings = folders_of(ROOT) | folders_of(SOURCE)
    return {
        word.rstrip(".,;:")
        for word in words
        if re.fullmatch(r"[\w.-]+(/[\w.*-]+)+/?[.,;:]?", word) and word.split("/")[0] in beginnings
    }


# Paths that a user's folder has, and methods of the protocol.
ELSEWHERE = re.compile(r"keys/.*NAME.*|(resources|prompts|tools|files)/(list|read|call|get)")


@BY_NAME
def test_a_path_that_a_document_names_is_there(text: str) -> None:
    missing = {
        path
        for path in paths_in(text)
        if not ELSEWHERE.fullmatch(path)
        and not any(list(base.glob(path.rstrip("/"))) for base in (ROOT, SOURCE))
    }

    assert missing == set()


@BY_NAME
def test_a_page_that_a_document_links_to_is_there(
    text: str, request: pytest.FixtureRequest
) -> None:
    beside = (ROOT / request.node.callspec.id).parent
    prose = re.sub(r"`[^`\n]*`", "", text)
    links = re.findall(r"\]\((?!https?:|mailto:|#)([^)#\s]+)[^)]*\)", prose)

    assert [link for link in links if not (beside / link).exists()] == []


@pytest.fixture(scope="module")
def tests_there_are() -> set[str]:
    """The names of all tests, and of the files they stand in."""
    files = sorted(TESTS.rglob("test_*.py"))
    return {file.stem for file in files}.union(
        *(
            re.findall(r"^(?:async )?def (test_\w+)", file.read_text("utf-8"), re.MULTILINE)
            for file in files
        )
    )


@BY_NAME
def test_a_test_that_a_document_names_is_there(text: str, tests_there_are: set[str]) -> None:
    named = set(re.findall(r"`(test_\w+)(?:\.py)?`", text))

    assert named - tests_there_are == set()


def command_at(words: list[str]) -> tuple[click.Command, list[str]]:
    """The command that the words lead to, and the words that are left."""
    command: click.Command = diary_mcp
    while isinstance(command, click.Group) and words:
        context = click.Context(command)
        below = command.get_command(context, words[0])
        assert below is not None, words
        command, words = below, words[1:]
    return command, words


@BY_NAME
def test_a_command_that_a_document_names_is_there_with_its_options(text: str) -> None:
    for code in code_in(text):
        named = re.search(r"(?:^|uvx |run |\$ )diary-mcp ((?:[a-z][a-z-]*)\b.*)", code)
        if named is None:
            continue
        command, words = command_at(END_OF_COMMAND.split(named[1])[0].split())
        known = {option for each in command.params for option in (*each.opts, *each.secondary_opts)}
        options = {word.partition("=")[0] for word in words if word.startswith("--")}
        assert options <= known | {"--help", "--"}, code


@BY_NAME
def test_a_setting_that_a_document_names_is_there(text: str) -> None:
    settings = {f"{ENVIRONMENT_PREFIX}{name.upper()}" for name in Settings.model_fields}
    settings.add(TOKEN_VARIABLE)
    named = set(re.findall(r"\bDIARY_MCP_[A-Z][A-Z_]*[A-Z]\b", text))

    assert {each for each in named - settings if not OF_TESTS.fullmatch(each)} == set()


def test_every_setting_is_documented() -> None:
    told = "\n".join(path.read_text("utf-8") for path in DOCUMENTS)

    assert [
        name
        for name in Settings.model_fields
        if not re.search(rf"`{ENVIRONMENT_PREFIX}{name.upper()}\b", told)
    ] == []


def test_the_picture_of_the_tree_shows_every_folder_of_the_package() -> None:
    drawn = set(re.findall(r"^  (?:\w+\.py |  )?(\w+)/ ", ARCHITECTURE, re.MULTILINE))

    assert folders_of(SOURCE) - {"__pycache__"} <= drawn
    assert folders_of(SOURCE / "service") - {"__pycache__"} <= drawn


def layers(contract: dict[str, list[str]]) -> list[set[str]]:
    return [
        {module.strip().removeprefix("diary_mcp.") for module in layer.split("|")}
        for layer in contract["layers"]
    ]


def test_the_layers_in_the_picture_are_those_of_the_contracts() -> None:
    whole, of_the_service = (contract for contract in CONTRACTS if "layers" in contract)
    pictures = re.findall(r"`([\w{}|, ]+(?: → [\w{}|, ]+)+)`", ARCHITECTURE)

    drawn = [
        [
            set(re.split(r"[,|]\s*", each.strip("{}").replace(" ", "")))
            for each in picture.split(" → ")
        ]
        for picture in pictures
    ]
    assert drawn == [layers(whole), layers(of_the_service)]


def test_every_decision_is_in_the_index() -> None:
    decisions = sorted((ROOT / "docs" / "adr").glob("0*.md"))
    index = (ROOT / "docs" / "adr" / "README.md").read_text("utf-8")

    assert [each.name for each in decisions if f"({each.name})" not in index] == []


def test_the_rules_for_reading_hold_that_no_linter_looks_at() -> None:
    files = [*SOURCE.rglob("*.py")]

    assert [each for each in files if each.name == "__init__.py" and each.read_bytes()] == []
    assert [each for each in files if "type: ignore" in each.read_text("utf-8")] == []
