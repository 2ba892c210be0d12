"""Prompt files: `prompts/*.md`, the title and the arguments in front matter, the text below.

`{{name}}` stands for an argument, or for something live that is put in when the prompt is asked
for. A paragraph that mentions an argument which was not given is left out.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from mcp_types import Prompt, PromptArgument

from diary_mcp.domain.fields import Model

_MENTION = re.compile(r"\{\{(\w+)\}\}")


class ArgumentHead(Model, frozen=True, extra="forbid"):
    """One argument, as the front matter declares it."""

    name: str
    description: str
    required: bool = False


class PromptFile(Model, frozen=True, extra="forbid"):
    """One prompt."""

    name: str
    title: str
    description: str
    arguments: tuple[ArgumentHead, ...]
    text: str

    @property
    def mentions(self) -> frozenset[str]:
        """Every name that the text wants a value for."""
        return frozenset(_MENTION.findall(self.text))

    def described(self) -> Prompt:
        return Prompt(
            name=self.name,
            title=self.title,
            description=self.description,
            arguments=[
                PromptArgument(
                    name=argument.name,
                    description=argument.description,
                    required=argument.required,
                )
                for argument in self.arguments
            ],
        )

    def fill(self, values: Mapping[str, str]) -> str:
        """The text with `values` in it; what a value holds is never filled again."""
        paragraphs = [
            _MENTION.sub(lambda found: values[found[1]], paragraph)
            for paragraph in self.text.split("\n\n")
            if values.keys() >= set(_MENTION.findall(paragraph))
        ]
        return "\n\n".join(paragraphs)


def load_prompts(folder: Path) -> dict[str, PromptFile]:
    """The prompts of a folder by name, which is the file's."""
    return {path.stem: _read(path) for path in sorted(folder.glob("*.md"))}


def _read(path: Path) -> PromptFile:
    from diary_mcp.server.prompts.yaml_head import split_yaml_head  # noqa: PLC0415  # imports yaml

    fields, text = split_yaml_head(path.read_text("utf-8"))
    return PromptFile.model_validate({"name": path.stem, "text": text.strip(), **fields})
