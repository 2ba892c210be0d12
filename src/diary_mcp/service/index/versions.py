"""Versions of what the index holds. An entry that was indexed by another one is indexed again."""

WORDS_VERSION = "1"
PASSAGES_VERSION = "1"


def model_version(model: str) -> str:
    """What vectors depend on: the model, and how entries are cut for it."""
    return f"{model}/{PASSAGES_VERSION}"
