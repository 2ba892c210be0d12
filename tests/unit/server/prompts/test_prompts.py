"""Prompt files: what they declare, and how they are filled."""

from pathlib import Path

import pytest

from diary_mcp.package_data import resource_path
from diary_mcp.server.prompts.prompt_files import PromptFile, load_prompts
from diary_mcp.server.prompts.prompts import LIVE
from diary_mcp.server.resources.completions import SUGGESTIONS

PROMPTS = load_prompts(resource_path("prompts"))
FREE_TEXT = {"task", "subject", "reason", "what", "since"}


def written(tmp_path: Path, text: str) -> PromptFile:
    (tmp_path / "example.md").write_text(
        "---\ntitle: Example\ndescription: An example.\narguments:\n"
        "  - name: one\n    description: The first.\n    required: true\n"
        f"  - name: two\n    description: The second.\n---\n{text}",
        "utf-8",
    )
    return load_prompts(tmp_path)["example"]


def test_the_prompts_are_those_of_the_contract() -> None:
    assert set(PROMPTS) == {
        "session_start",
        "handoff",
        "decision",
        "correction",
        "reflection",
        "incident",
    }


@pytest.mark.parametrize("prompt", PROMPTS.values(), ids=lambda prompt: prompt.name)
def test_a_prompt_mentions_only_what_can_be_filled(prompt: PromptFile) -> None:
    declared = {argument.name for argument in prompt.arguments}

    assert prompt.mentions <= declared | LIVE.keys()
    assert prompt.mentions & LIVE.keys(), "worth using: it brings something of the diary along"


@pytest.mark.parametrize("prompt", PROMPTS.values(), ids=lambda prompt: prompt.name)
def test_a_prompt_is_short(prompt: PromptFile) -> None:
    assert len(prompt.text) < 1_500


@pytest.mark.parametrize("prompt", PROMPTS.values(), ids=lambda prompt: prompt.name)
def test_every_argument_is_completed_or_free_text(prompt: PromptFile) -> None:
    names = {argument.name for argument in prompt.arguments}

    assert names <= SUGGESTIONS.keys() | FREE_TEXT


def test_a_paragraph_whose_argument_was_not_given_is_left_out(tmp_path: Path) -> None:
    prompt = written(tmp_path, "First {{one}}.\n\nOnly with {{two}}.\n\nAlways.\n")

    assert prompt.fill({"one": "1"}) == "First 1.\n\nAlways."
    assert prompt.fill({"one": "1", "two": "2"}) == "First 1.\n\nOnly with 2.\n\nAlways."


def test_what_a_value_holds_is_not_filled_again(tmp_path: Path) -> None:
    prompt = written(tmp_path, "{{one}}\n")

    assert prompt.fill({"one": "{{two}}\n\n{{one}}", "two": "secret"}) == "{{two}}\n\n{{one}}"


def test_a_prompt_is_described_with_its_arguments(tmp_path: Path) -> None:
    described = written(tmp_path, "{{one}}\n").described()

    assert described.model_dump(exclude_none=True) == {
        "name": "example",
        "title": "Example",
        "description": "An example.",
        "arguments": [
            {"name": "one", "description": "The first.", "required": True},
            {"name": "two", "description": "The second.", "required": False},
        ],
    }
