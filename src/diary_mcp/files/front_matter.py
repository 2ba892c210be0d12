"""Front matter: what stands between two `---` lines at the top of a Markdown file.

The second one may be `...`, and TOML stands between two `+++` lines. What stands there and is no
front matter, such as a letterhead, is content.

The text itself is kept. YAML is only asked where each key begins and what a few of them say, and
changing one key leaves every other character as it was. Scalars are not resolved: a date, a
number or `02` stays the text that it is. Anchors, aliases and tags are refused, so nothing can
be expanded or constructed.
"""

import re
from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from enum import Enum
from typing import assert_never, cast

import yaml

from diary_mcp.domain.errors import InvalidArgumentError
from diary_mcp.files.toml_head import parse_toml, read_statements, text_of, write_toml

MAX_FRONT_MATTER_CHARACTERS = 20_000
_MAX_DEPTH = 20

_OPENING = re.compile(r"\A(?:---|\+\+\+)[ \t]*\r?\n")
_YAML_CLOSING = re.compile(r"^(?:---|\.\.\.)[ \t]*(?:\r?\n|\Z)", re.MULTILINE)
_TOML_CLOSING = re.compile(r"^\+\+\+[ \t]*(?:\r?\n|\Z)", re.MULTILINE)
_KEY_LINE = re.compile(r"""["']?[\w.-]+["']?[ \t]*[:=](?:\s|$)""")
_BLANK_AROUND = re.compile(r"[ \t]*\r?\n(?s:.*)\n[ \t]*\r?\n\Z")
_INNER_LINE = re.compile(r"[ \t]|#|-[ \t]|\r?$")
# By which a line that cannot be read is known for a slip.
_COMMON_KEYS = frozenset(
    {"date", "author", "session", "type", "title", "importance", "tags", "supersedes", "signature"}
)
_BYTE_ORDER_MARK = "\ufeff"


class Nested(Enum):
    """Stands for a value that is neither a scalar nor a list of scalars."""

    NESTED = "nested"


Scalar = str | None
Value = Scalar | tuple[str, ...] | Nested
Writable = str | float | tuple[str, ...] | None


@dataclass(frozen=True)
class Field:
    """One key: its value, and its lines with the comments below them."""

    name: str
    value: Value
    text: str


@dataclass(frozen=True)
class FrontMatter:
    """Everything before the content of a file, in pieces that add up to it."""

    byte_order_mark: str = ""
    opening: str = ""
    preamble: str = ""
    fields: tuple[Field, ...] = ()
    closing: str = ""
    indent: str = ""

    @property
    def text(self) -> str:
        """The front matter as it stands in the file; empty where there is none."""
        lines = self.preamble + "".join(field.text for field in self.fields)
        return self.byte_order_mark + self.opening + lines + self.closing

    def find(self, name: str) -> Field | None:
        """The key of this name."""
        return next((field for field in self.fields if field.name == name), None)

    def text_before(self, content: str) -> str:
        """The text to put before `content`, so that both are told apart again."""
        looks_like_more = _has_front_matter(content) or (
            content.startswith(_BYTE_ORDER_MARK) and not self.byte_order_mark
        )
        return (self._fenced() if looks_like_more else self).text

    def with_value(self, name: str, value: Writable, *, keeps_old: bool = False) -> "FrontMatter":
        """The same with one key set: in its place, or else at the end.

        With `keeps_old`, what the key said before stays as a comment.
        """
        newline = "\r\n" if self.opening.endswith("\r\n") else "\n"
        present = self.find(name)
        below = "" if present is None else _comments_below(present.text)
        if present is not None and keeps_old:
            below = _commented(present.text.removesuffix(below)) + below
        text = f"{self.indent}{name}{self._written(value)}{newline}{below}"
        said = str(value) if isinstance(value, float | int) else value
        return self.with_field(Field(name, said, text))

    def with_field(self, field: Field) -> "FrontMatter":
        """The same with this key: in the place of the one of its name, or else at the end."""
        present = self.find(field.name)
        if present is None:
            at = sum(each.name != "" for each in self.fields)
            fields = (*self.fields[:at], field, *self.fields[at:])
            return replace(self._fenced(), fields=fields)
        fields = tuple(
            field if old is present else old
            for old in self.fields
            if old is present or old.name != field.name
        )
        return replace(self, fields=fields)

    @property
    def _is_toml(self) -> bool:
        return self.opening.startswith("+++")

    def _written(self, value: Writable) -> str:
        return f" = {write_toml(value)}" if self._is_toml else f": {_write(value)}"

    def _fenced(self) -> "FrontMatter":
        return self if self.opening else replace(self, opening="---\n", closing="---\n")


def split_front_matter(text: str) -> tuple[str, str]:
    """What stands before the content, byte order mark and `---` lines included; the content.

    Raises:
        InvalidArgumentError: the opening line has no closing one, and keys below it.
    """
    mark = _BYTE_ORDER_MARK if text.startswith(_BYTE_ORDER_MARK) else ""
    unmarked = text[len(mark) :]
    opening = _OPENING.match(unmarked)
    if opening is None:
        return mark, unmarked
    fence = opening[0][:3]
    closing = _closing(unmarked, opening)
    if closing is None:
        if _KEY_LINE.match(unmarked, opening.end()) is None:
            return mark, unmarked
        raise InvalidArgumentError(
            f"line 1 opens front matter with `{fence}`, but no `{fence}` line closes it; add one, "
            f"or put an empty line before a `{fence}` that is meant as a rule."
        )
    if not _is_front_matter(unmarked[opening.end() : closing.start()], fence):
        return mark, unmarked
    return mark + unmarked[: closing.end()], unmarked[closing.end() :]


def _closing(text: str, opening: re.Match[str]) -> re.Match[str] | None:
    pattern = _TOML_CLOSING if opening[0].startswith("+++") else _YAML_CLOSING
    return pattern.search(text, opening.end())


def _has_front_matter(text: str) -> bool:
    try:
        head, _ = split_front_matter(text)
    except InvalidArgumentError:
        return True
    return head not in {"", _BYTE_ORDER_MARK}


def _is_front_matter(lines: str, fence: str) -> bool:
    """Whether what stands between two such lines is that, and not content.

    Two lines with an empty one between them and the text are rules. What cannot be read is taken
    for front matter where most of its lines begin with a key: a slip is told, and not kept as text.
    """
    if not lines.strip():
        return True
    if _BLANK_AROUND.match(lines):
        return False
    only = _only_line(lines)
    if fence == "---" and only is not None and not _KEY_LINE.match(only):
        return False
    if len(lines) <= MAX_FRONT_MATTER_CHARACTERS:
        try:
            return bool(parse_toml(lines) if fence == "+++" else _read_keys(lines))
        except InvalidArgumentError:
            pass
    if only is not None:
        return re.split("[:=]", only)[0].strip("\"' \t").lower() in _COMMON_KEYS
    outer = [line for line in lines.split("\n") if not _INNER_LINE.match(line)]
    keys = sum(_KEY_LINE.match(line) is not None for line in outer)
    return 2 * keys > len(outer)


def _only_line(lines: str) -> str | None:
    """The one line that says something, if it is one: a letterhead has colons too."""
    said = [line for line in lines.split("\n") if line.strip()]
    return said[0] if len(said) == 1 else None


def read_front_matter(head: str) -> FrontMatter:
    """The keys of what `split_front_matter` found before the content.

    Raises:
        InvalidArgumentError: it is no YAML mapping of one key a line, or uses what is refused.
    """
    mark = _BYTE_ORDER_MARK if head.startswith(_BYTE_ORDER_MARK) else ""
    opening = _OPENING.match(head[len(mark) :])
    if opening is None:
        return FrontMatter(byte_order_mark=mark)
    unmarked = head[len(mark) :]
    closing = _closing(unmarked, opening)
    assert closing is not None, "split_front_matter found it"  # noqa: S101  # an invariant
    lines = unmarked[opening.end() : closing.start()]
    if len(lines) > MAX_FRONT_MATTER_CHARACTERS:
        raise InvalidArgumentError(
            f"the front matter has {len(lines):,} characters, at most "
            f"{MAX_FRONT_MATTER_CHARACTERS:,} are read; move text below its closing line."
        )
    if opening[0].startswith("+++"):
        preamble, fields = _read_toml_fields(lines)
        return FrontMatter(mark, opening[0], preamble, fields, closing[0])
    preamble, fields, indent = _read_fields(lines)
    return FrontMatter(mark, opening[0], preamble, fields, closing[0], indent)


def _read_toml_fields(lines: str) -> tuple[str, tuple[Field, ...]]:
    preamble = ""
    fields: list[Field] = []
    for name, value, text in read_statements(lines):
        if name is not None:
            fields.append(Field(name, _toml_value(value), text))
        elif text.lstrip().startswith("["):
            # The tables; what has no name is found by nobody, and stays last.
            fields.append(Field("", Nested.NESTED, text))
        elif fields:
            fields[-1] = replace(fields[-1], text=fields[-1].text + text)
        else:
            preamble += text
    return preamble, tuple(fields)


def _toml_value(value: object) -> Value:
    try:
        if isinstance(value, list):
            return tuple(filter(None, map(text_of, cast("list[object]", value))))
        return text_of(value)
    except TypeError:
        return Nested.NESTED


@dataclass
class _Key:
    name: str
    begin: int
    column: int
    value: Value = None


def _read_fields(lines: str) -> tuple[str, tuple[Field, ...], str]:
    """Text before the first key, the keys, and how far they are indented."""
    keys = _read_keys(lines)
    if not keys:
        return lines, (), ""
    begins = [key.begin for key in keys]
    ends = [*begins[1:], len(lines)]
    fields = tuple(
        Field(key.name, key.value, lines[key.begin : end])
        for key, end in zip(keys, ends, strict=True)
    )
    return lines[: begins[0]], fields, " " * keys[0].column


def _read_keys(lines: str) -> list[_Key]:
    events = _checked_events(lines)
    first = next(events, None)
    if first is None:
        return []
    if not isinstance(first, yaml.MappingStartEvent) or first.flow_style:
        raise _refusal("it is not made of `key: value` lines", 2)
    keys: dict[str, _Key] = {}
    for event in events:
        # The end of the mapping comes last: a second document is refused before it gets here.
        if not isinstance(event, yaml.MappingEndEvent):
            key = _read_key(event, first)
            if key.name in keys:
                raise _refusal(f"the key {key.name!r} is there twice", _line(event))
            keys[key.name] = key
            key.value = _read_value(next(events), events)
    return list(keys.values())


def _read_key(event: yaml.Event, mapping: yaml.MappingStartEvent) -> _Key:
    mark, start = event.start_mark, mapping.start_mark
    if not isinstance(event, yaml.ScalarEvent) or mark is None or start is None:
        raise _refusal("a key must be a word", _line(event))
    if mark.column != start.column:
        raise _refusal("`? key` is not supported; write `key: value`", _line(event))
    return _Key(event.value, mark.index - mark.column, mark.column)


def _read_value(event: yaml.Event, events: Iterator[yaml.Event]) -> Value:
    if isinstance(event, yaml.ScalarEvent):
        return _scalar(event)
    is_list = isinstance(event, yaml.SequenceStartEvent)
    items: list[str] = []
    depth = 1
    while depth:
        event = next(events)
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            is_list = False
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        elif isinstance(event, yaml.ScalarEvent) and (item := _scalar(event)) is not None:
            items.append(item)
    return tuple(items) if is_list else Nested.NESTED


def _scalar(event: yaml.ScalarEvent) -> Scalar:
    is_plain = event.implicit[0]
    return None if is_plain and event.value in {"", "~", "null", "Null", "NULL"} else event.value


def _checked_events(lines: str) -> Generator[yaml.Event]:
    """The events of one document, without its frame."""
    depth = 0
    documents = 0
    try:
        for event in yaml.parse(lines, Loader=yaml.SafeLoader):
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
            elif isinstance(event, yaml.NodeEvent | yaml.CollectionEndEvent):
                _check(event)
                depth += isinstance(event, yaml.CollectionStartEvent)
                depth -= isinstance(event, yaml.CollectionEndEvent)
                if documents > 1 or depth > _MAX_DEPTH:
                    raise _refusal("it holds several documents, or is nested deeply", _line(event))
                yield event
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        problem = error.problem or "it cannot be read"
        raise _refusal(problem, 2 if mark is None else mark.line + 2) from error
    except yaml.YAMLError as error:
        raise _refusal("it holds a character that YAML does not allow", 2) from error


def _check(event: yaml.NodeEvent | yaml.CollectionEndEvent) -> None:
    if isinstance(event, yaml.CollectionEndEvent):
        return
    if event.anchor is not None:
        raise _refusal("anchors (&) and aliases (*) are not supported", _line(event))
    if isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent) and event.tag is not None:
        raise _refusal("tags (!) are not supported", _line(event))


def _line(event: yaml.Event) -> int:
    """The line in the file, whose first is the opening `---`."""
    return 2 if event.start_mark is None else event.start_mark.line + 2


def _refusal(problem: str, line: int) -> InvalidArgumentError:
    return InvalidArgumentError(
        f"the front matter cannot be read: {problem} (line {line}). Correct that line; a value "
        "with `: ` or ` #` in it needs quotes."
    )


def _comments_below(text: str) -> str:
    """The empty lines and comments at the end of a key's lines."""
    lines = text.split("\n")
    first = len(lines)
    while first > 1 and (lines[first - 1].strip() == "" or lines[first - 1].startswith("#")):
        first -= 1
    return "\n".join(lines[first:])


def _commented(text: str) -> str:
    return "".join(f"# {line}" for line in text.splitlines(keepends=True))


def _write(value: Writable) -> str:
    """The value as YAML on one line."""
    match value:
        case str() | None:
            return _write_scalar(value)
        case float() | int():
            return repr(value)
        case tuple():
            return f"[{', '.join(map(_write_scalar, value))}]"
        case _:
            assert_never(value)


def _write_scalar(value: str | None) -> str:
    # In a list, so that what only a flow list cannot hold bare is quoted too.
    style = '"' if value is not None and not value.isprintable() else None
    written = yaml.safe_dump(
        [value], default_flow_style=True, default_style=style, allow_unicode=True, width=1_000_000
    )
    return written.strip().removeprefix("[").removesuffix("]")
