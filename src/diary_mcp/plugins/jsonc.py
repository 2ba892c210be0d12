"""JSON with comments and trailing commas, as editors keep it: changed where it is to say otherwise.

Serializing what was read would lose comments, and the form of everything else.
"""

import json
import re
from dataclasses import dataclass
from typing import NoReturn

from pydantic import JsonValue

_TRIVIA = re.compile(r"(?:[ \t\r\n]+|//[^\r\n]*|/\*.*?\*/)*", re.DOTALL)
_COMMENTS_BESIDE = re.compile(r"(?:[ \t]*(?://[^\r\n]*|/\*[^\r\n]*?\*/))*")
_BLANK = re.compile(r"[ \t]*")
_END_OF_LINE = re.compile(r"[ \t]*(?=\r?\n|\Z)")
_CLOSING = {"{": "}", "[": "]"}
_DEFAULT_UNIT = "  "


class JsoncError(ValueError):
    """The text is no JSON, also with comments; says where."""


@dataclass(frozen=True)
class _Node:
    """A value, and where it stands in the text."""

    value: JsonValue
    start: int
    end: int
    parts: tuple["_Part", ...] = ()


@dataclass(frozen=True)
class _Part:
    """A member of an object, from its name on, or an item of an array."""

    key: str
    start: int
    node: _Node
    comma: int | None
    """Where the one behind it stands."""


def parse(text: str) -> JsonValue:
    """What the text says.

    Raises:
        JsoncError: nothing that can be understood.
    """
    return _Reader(text).read().value


def update(text: str, wanted: JsonValue) -> str:
    """The text, changed so that it says `wanted`: what is said already stays to the letter.

    Raises:
        JsoncError: the text cannot be understood.
    """
    root = _Reader(text).read()
    while root.value != wanted:
        text = _Edit(text, root).one_step(root, wanted)
        root = _Reader(text).read()
    return text


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._decoder = json.JSONDecoder(parse_constant=_refuse)

    def read(self) -> _Node:
        try:
            root = self._value(self._skip(0))
        except RecursionError as error:
            raise JsoncError("it is nested too deeply") from error
        end = self._skip(root.end)
        if end < len(self._text):
            self._fail("the end", end)
        return root

    def _value(self, at: int) -> _Node:
        if self._text[at : at + 1] in _CLOSING:
            return self._container(at)
        value: JsonValue
        try:
            value, end = self._decoder.raw_decode(self._text, at)
        except ValueError as error:
            raise JsoncError(f"a value was expected {self._place(at)}") from error
        return _Node(value, at, end)

    def _container(self, start: int) -> _Node:
        closing = _CLOSING[self._text[start]]
        parts: list[_Part] = []
        at = self._skip(start + 1)
        while not self._text.startswith(closing, at):
            if parts and parts[-1].comma is None:
                self._fail(f"a comma or {closing}", at)
            part = self._part(at, is_member=closing == "}")
            parts.append(part)
            at = self._skip(part.node.end if part.comma is None else part.comma + 1)
        value: JsonValue = (
            {part.key: part.node.value for part in parts}
            if closing == "}"
            else [part.node.value for part in parts]
        )
        return _Node(value, start, at + 1, tuple(parts))

    def _part(self, start: int, *, is_member: bool) -> _Part:
        key, at = "", start
        if is_member:
            name = self._value(start) if self._text.startswith('"', start) else None
            if name is None:
                self._fail("a name in quotes", start)
            key, at = str(name.value), self._skip(name.end)
            if not self._text.startswith(":", at):
                self._fail("a colon", at)
            at = self._skip(at + 1)
        node = self._value(at)
        after = self._skip(node.end)
        return _Part(key, start, node, after if self._text.startswith(",", after) else None)

    def _skip(self, at: int) -> int:
        found = _TRIVIA.match(self._text, at)
        return at if found is None else found.end()

    def _fail(self, expected: str, at: int) -> NoReturn:
        raise JsoncError(f"{expected} was expected {self._place(at)}")

    def _place(self, at: int) -> str:
        before = self._text[:at]
        column = at - (before.rfind("\n") + 1) + 1
        return f"in line {before.count(chr(10)) + 1}, column {column}"


class _Edit:
    """One change of a text, in the form that the text has."""

    def __init__(self, text: str, root: _Node) -> None:
        self._text = text
        self._newline = "\r\n" if "\r\n" in text else "\n"
        self._is_one_line = bool(root.parts) and "\n" not in text[root.start : root.end]
        self._unit = self._own_indent(root) or _DEFAULT_UNIT

    def one_step(self, node: _Node, wanted: JsonValue) -> str:
        if isinstance(node.value, dict) and isinstance(wanted, dict):
            return self._step_in_object(node, wanted)
        if isinstance(node.value, list) and isinstance(wanted, list):
            return self._step_in_array(node, node.value, wanted)
        told = self._told(wanted, self._indent_at(node.start))
        return self._text[: node.start] + told + self._text[node.end :]

    def _step_in_object(self, node: _Node, wanted: dict[str, JsonValue]) -> str:
        for index, part in enumerate(node.parts):
            if part.key not in wanted:
                return self._without(node, index)
        last = {part.key: part.node for part in node.parts}
        for key, value in wanted.items():
            if key not in last:
                return self._with(node, f"{json.dumps(key, ensure_ascii=False)}: ", value)
            if last[key].value != value:
                return self.one_step(last[key], value)
        return self._text

    def _step_in_array(self, node: _Node, present: list[JsonValue], wanted: list[JsonValue]) -> str:
        pairs = zip(present, wanted, strict=False)
        same = next((at for at, (old, new) in enumerate(pairs) if old != new), None)
        if same is None:
            same = min(len(present), len(wanted))
        if len(present) > len(wanted):
            return self._without(node, same)
        if same < len(present):
            return self.one_step(node.parts[same].node, wanted[same])
        return self._with(node, "", wanted[same])

    def _with(self, node: _Node, name: str, value: JsonValue) -> str:
        """The text with one part more at the end of the object or array."""
        text = self._text
        if not node.parts:
            return self._with_first(node, name, value)
        last = node.parts[-1]
        indent = self._own_indent(node)
        end = last.node.end
        after = end if last.comma is None else last.comma + 1
        comma, trailing = (",", "") if last.comma is None else ("", ",")
        if indent is None:
            added = f" {name}{self._told(value, None)}{trailing}"
        else:
            beside = _COMMENTS_BESIDE.match(text, after)
            after = after if beside is None else beside.end()
            added = f"{self._newline}{indent}{name}{self._told(value, indent)}{trailing}"
        return text[:end] + comma + text[end:after] + added + text[after:]

    def _with_first(self, node: _Node, name: str, value: JsonValue) -> str:
        text, closing = self._text, node.end - 1
        if self._is_one_line:
            return f"{text[:closing]}{name}{self._told(value, None)}{text[closing:]}"
        outer = self._indent_at(node.start)
        indent = outer + self._unit
        kept = text[:closing].rstrip()
        added = f"{self._newline}{indent}{name}{self._told(value, indent)}"
        return f"{kept}{added}{self._newline}{outer}{text[closing:]}"

    def _without(self, node: _Node, index: int) -> str:
        """The text without a part, its comma, and the line where nothing else stands in it."""
        text, part = self._text, node.parts[index]
        cuts = [(part.start, part.node.end)]
        last = part.node.end
        if part.comma is not None:
            cuts.append((part.comma, part.comma + 1))
            last = part.comma + 1
        elif index and (before := node.parts[index - 1].comma) is not None:
            cuts.append((before, before + 1))
        line = text.rfind("\n", 0, part.start)
        end_of_line = _END_OF_LINE.match(text, last)
        if end_of_line and line > node.start and not text[line + 1 : part.start].strip():
            newline = line - 1 if text.startswith("\r\n", line - 1) else line
            cuts += [(newline, part.start), (last, end_of_line.end())]
        elif part.comma is not None:
            cuts.append((last, _blank_end(text, last)))
        else:
            cuts.append((len(text[: part.start].rstrip(" \t")), part.start))
        return self._collapsed(node, _cut(text, cuts))

    def _collapsed(self, node: _Node, text: str) -> str:
        """The text without the space in the object or array, if that is all that is in it now."""
        end = node.end - (len(self._text) - len(text))
        inner = text[node.start + 1 : end - 1]
        return text if inner.strip() else text[: node.start + 1] + text[end - 1 :]

    def _told(self, value: JsonValue, indent: str | None) -> str:
        if indent is None or self._is_one_line:
            return json.dumps(value, ensure_ascii=False)
        told = json.dumps(value, ensure_ascii=False, indent=self._unit)
        return told.replace("\n", self._newline + indent)

    def _own_indent(self, node: _Node) -> str | None:
        """What stands before the last of its parts that begins a line, if one does."""
        for part in reversed(node.parts):
            line = self._text.rfind("\n", 0, part.start)
            before = self._text[line + 1 : part.start]
            if line > node.start and not before.strip():
                return before
        return None

    def _indent_at(self, at: int) -> str:
        line = self._text[self._text.rfind("\n", 0, at) + 1 :]
        found = _BLANK.match(line)
        return "" if found is None else found.group()


def _blank_end(text: str, at: int) -> int:
    found = _BLANK.match(text, at)
    return at if found is None else found.end()


def _cut(text: str, cuts: list[tuple[int, int]]) -> str:
    for start, end in sorted(cuts, reverse=True):
        text = text[:start] + text[end:]
    return text


def _refuse(constant: str) -> NoReturn:
    raise JsoncError(f"{constant} is not JSON")
