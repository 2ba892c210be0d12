"""Errors and notices name tools and arguments, for a model; people are told of what they see."""

import re
from collections.abc import Mapping

# What stands in quotes or in a path, somebody else has called so.
_NAME = re.compile(r"(?<!['`\w/-])[a-z]+(?:_[a-z]+)+(?!['`\w/])")


def reworded(told: str, phrases: Mapping[re.Pattern[str], str], names: Mapping[str, str]) -> str:
    """What was told a model, with `phrases` replaced and then the names of tools and arguments."""
    for phrase, instead in phrases.items():
        told = phrase.sub(instead, told)
    return _NAME.sub(lambda found: names.get(found.group(), found.group()), told)
