"""What a file says beside the fields of its entry, whichever format it has.

What a Markdown file says is kept as its front matter, to the character. What a line of JSON says is
kept as one JSON object, and becomes front matter where it is exported as Markdown.
"""

import json
import re
from collections.abc import Mapping
from typing import cast

import yaml

from diary_mcp.domain.entry import EntryDraft
from diary_mcp.domain.errors import InvalidArgumentError
from diary_mcp.domain.version import EntryRecord
from diary_mcp.files.front_matter import (
    Field,
    FrontMatter,
    Nested,
    Scalar,
    Value,
    read_front_matter,
)
from diary_mcp.files.markdown_fields import Said, read_said
from diary_mcp.files.toml_head import parse_toml
from diary_mcp.service.chain.statements import JsonObject, parse_json

MAX_KEPT_CHARACTERS = 10_000
"""With what an entry says itself, an export of it is front matter that an import reads."""

# What says what an entry says; of its signature a line has an object of its own.
_FIELDS = frozenset({*EntryDraft.model_fields, "signature"}) - {"content"}
_PLAIN_NAME = re.compile(r"[^\W\d][\w.-]*")
# What a reader of YAML may take for the end of a line, or refuses.
_ESCAPED = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]")


def write_kept(kept: Mapping[str, object]) -> str | None:
    """The object to keep; `None` where there is nothing.

    Raises:
        InvalidArgumentError: it is more than front matter can hold; says which name.
    """
    if not kept:
        return None
    sizes = {name: len(name) + len(_json(value)) for name, value in kept.items()}
    if sum(sizes.values()) > MAX_KEPT_CHARACTERS:
        largest = max(sizes, key=sizes.__getitem__)
        raise InvalidArgumentError(
            f"{sum(sizes.values()):,} characters stand beside the fields of an entry, at most "
            f"{MAX_KEPT_CHARACTERS:,} are kept; take out {largest[:100]!r}."
        )
    for name, value in kept.items():
        try:
            read_front_matter(FrontMatter().with_field(as_field(name, value)).text)
        except InvalidArgumentError as error:
            raise InvalidArgumentError(
                f"{name[:100]!r} is nested too deeply to be kept, or has too long a name; take it "
                "out."
            ) from error
    return json.dumps(kept)


def is_json(front_matter: str | None) -> bool:
    """Whether a line of JSON has said it, and no Markdown file."""
    return front_matter is not None and front_matter.startswith("{")


def read_kept(entry: EntryRecord) -> Mapping[str, object]:
    """What the entry's file said beside its fields, as JSON has it."""
    if entry.front_matter is None:
        return {}
    if is_json(entry.front_matter):
        value = parse_json(entry.front_matter)
        return value if isinstance(value, JsonObject) else {}
    head = read_front_matter(entry.front_matter)
    said = read_said(head, entry.content, entry.key or str(entry.id))
    return {
        field.name: _value(field, is_toml=head.opening.startswith("+++"))
        for field in head.fields
        if field.name and (field.name not in _FIELDS or is_unforeseen(field, said))
    }


def is_unforeseen(field: Field, said: Said) -> bool:
    """Whether a key of an entry's field has a value that no entry can have."""
    if field.name == "type":
        return bool(field.value) and str(field.value).strip().lower() != said.type
    return field.name in said.unforeseen


def with_kept(front_matter: FrontMatter, kept: Mapping[str, object]) -> FrontMatter:
    """The front matter with what a line said; what it said of a field stands in its place."""
    for name, value in kept.items():
        front_matter = front_matter.with_field(as_field(name, value))
    return front_matter


def as_field(name: str, value: object) -> Field:
    """A member of a JSON object as a key of front matter: JSON is YAML."""
    written = name if _PLAIN_NAME.fullmatch(name) else _json(name)
    return Field(name, _as_value(value), f"{written}: {_json(value)}\n")


def _json(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return _ESCAPED.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _as_value(value: object) -> Value:
    if isinstance(value, list):
        items = [_as_value(item) for item in cast("list[object]", value)]
        if any(isinstance(item, Nested | tuple) for item in items):
            return Nested.NESTED
        return tuple(item for item in items if isinstance(item, str))
    return Nested.NESTED if isinstance(value, dict) else _as_scalar(value)


def _as_scalar(value: object) -> Scalar:
    return value if value is None or isinstance(value, str) else json.dumps(value)


def _value(field: Field, *, is_toml: bool) -> object:
    """The value of a key as JSON has it: JSON is itself again, any other scalar is text."""
    if is_toml:
        ((_, value),) = parse_toml(field.text).items()
        return json.loads(json.dumps(value, default=str))
    if field.value is None:
        return None
    named = field.text.strip()
    quoted = f"{_json(field.name)}:"
    text = named.removeprefix(quoted) if named.startswith(quoted) else named.partition(":")[2]
    try:
        return parse_json(text)
    except ValueError:
        pass
    try:
        # It builds nothing but text, lists and mappings.
        loaded = cast("dict[str, object]", yaml.load(field.text, Loader=yaml.BaseLoader))  # noqa: S506
    except yaml.YAMLError:
        return text.strip()
    return next(iter(loaded.values()), None)
