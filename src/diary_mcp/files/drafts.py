"""From the values of a file to an entry's draft, or to a reason that a person can act on."""

import hashlib
import re
from collections.abc import Mapping

from pydantic import ValidationError

from diary_mcp.domain.entry import EntryDraft
from diary_mcp.domain.errors import InvalidArgumentError
from diary_mcp.domain.fields import value_problem

_MAX_PROBLEMS_TOLD = 3
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def read_draft(values: Mapping[str, object]) -> EntryDraft:
    """The draft that the values make.

    Raises:
        InvalidArgumentError: a value is out of its limits; the message names each.
    """
    _refuse_lone_surrogates(values)
    try:
        return EntryDraft.model_validate(values)
    except ValidationError as error:
        raise InvalidArgumentError(
            f"{explain(error)}. Correct it and import the file again."
        ) from error


def explain(error: ValidationError) -> str:
    """Each field that cannot be used, and why."""
    problems = [
        f"{'.'.join(map(str, problem['loc'])) or 'entry'}: {value_problem(problem)}"
        for problem in error.errors(include_url=False)
    ]
    told = "; ".join(problems[:_MAX_PROBLEMS_TOLD])
    untold = len(problems) - _MAX_PROBLEMS_TOLD
    return f"{told}; and {untold} more" if untold > 0 else told


def decode_text(raw: bytes) -> str:
    """The text of a file or line.

    Raises:
        InvalidArgumentError: it is binary, or in another encoding than UTF-8.
    """
    if b"\0" in raw:
        raise InvalidArgumentError(
            "holds NUL bytes, so it is binary or UTF-16; only UTF-8 text can be imported."
        )
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidArgumentError(
            f"is not UTF-8 (byte {error.start + 1} is 0x{raw[error.start]:02x}); convert it, for "
            "example with `iconv -t UTF-8`."
        ) from error


def source_hash(raw: bytes) -> str:
    """By which an import recognises what it has imported before."""
    return f"sha256:{hashlib.sha256(raw).hexdigest()}"


def _refuse_lone_surrogates(values: Mapping[str, object]) -> None:
    # Escapes in YAML and JSON can write them, and so can file names that are not UTF-8.
    for name, value in values.items():
        words: list[object] = [*value] if isinstance(value, list) else [value]
        if any(isinstance(word, str) and _LONE_SURROGATE.search(word) for word in words):
            raise InvalidArgumentError(
                f"{name}: holds a lone surrogate, which is not a character. Take it out, and "
                "import the file again."
            )
