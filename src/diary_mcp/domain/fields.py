"""The limits of every field that comes from outside, as annotated types.

Strings are counted in Unicode characters. NUL cannot be stored by PostgreSQL and a lone
surrogate cannot be encoded; both are refused in every string, never replaced.
"""

import re
import unicodedata
from datetime import UTC, datetime, time
from functools import cache
from typing import Annotated, Literal, NewType, Self, cast, get_args
from unicodedata import category
from uuid import UUID

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Field,
    PlainSerializer,
    StringConstraints,
    WithJsonSchema,
)
from pydantic_core import ErrorDetails

from diary_mcp.domain.time_parsing import read_time

EntryId = NewType("EntryId", UUID)
DiaryId = NewType("DiaryId", UUID)
RemovalId = NewType("RemovalId", UUID)
AgentName = NewType("AgentName", str)
GroupName = NewType("GroupName", str)
Grantee = NewType("Grantee", str)
"""Whom an entry is shared with: an agent's name, or `group:` and a group's name."""

EntryType = Literal[
    "decision",
    "discovery",
    "problem",
    "progress",
    "reflection",
    "handoff",
    "correction",
    "note",
]
ENTRY_TYPES: tuple[EntryType, ...] = get_args(EntryType)

NAME_PATTERN = r"[a-z0-9][a-z0-9._-]{0,63}"
NAME_RULE = "use a-z, 0-9, '.', '_' and '-', at most 64, beginning with a letter or a digit"
MAX_CONTENT_CHARACTERS = 100_000
MAX_TAGS = 20
MAX_SUPERSEDED = 10

_SHAPELESS = frozenset({"Cc", "Cf", "Zl", "Zp", "Zs"})
# What Unicode 17 calls Default_Ignorable_Code_Point and is of no such category: fillers, joiners,
# variation selectors, tags. And the blank pattern of Braille, a null notehead, Khitan's filler.
_IGNORABLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2065\u2800\u3164\ufe00-\ufe0f\uffa0"
    "\ufff0-\ufff8\U00016fe4\U0001d159\U000e0000-\U000e0fff]"
)
_HARMLESS = frozenset("\n\t\u200c\u200d")
_PLAIN_NAME = re.compile(r"[\w./@+~-]+")


class Model(BaseModel, frozen=True, defer_build=True):
    """Base of what is made of such fields.

    Pydantic builds what checks and serialises it when it is first used: a session uses few.
    """

    @classmethod
    def of_checked(cls, values: dict[str, object]) -> Self:
        """One of values that were checked before: of every field, in order, each as it is kept.

        Pydantic's `model_construct`, which looks for what is missing, takes longer than its checks.
        """
        made = cls.__new__(cls)
        _set(made, "__dict__", values)
        _set(made, "__pydantic_fields_set__", _names_of(cls))
        _set(made, "__pydantic_extra__", None)
        _set(made, "__pydantic_private__", None)
        return made


# Models are frozen.
_set = object.__setattr__


@cache
def _names_of(model: type[BaseModel]) -> set[str]:
    return set(model.model_fields)


def is_none(value: object) -> bool:
    """For fields that are left out where they have no value."""
    return value is None


REPEATED = "\0 is given twice"
"""Stands for a value that was given several times, so that nobody takes one of them."""


def _refuse_unstorable(text: str) -> str:
    if text == REPEATED:
        raise ValueError("must be given once")
    if "\0" in text:
        raise ValueError(
            "must not contain NUL (U+0000), a lone surrogate or bytes that are not UTF-8"
        )
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError("must not contain lone surrogates") from error
    return text


def is_blank(text: str) -> bool:
    """Whether nothing in it is to be seen: it is white space, or characters without a shape."""
    return all(
        category(character) in _SHAPELESS or _IGNORABLE.match(character) for character in text
    )


def refuse_blank(text: str) -> str:
    """The text, unless it is blank.

    Raises:
        ValueError: it is.
    """
    if is_blank(text):
        raise ValueError("must not be white space or invisible characters alone")
    return text


def _keep_first_of_each(words: list[str]) -> list[str]:
    return list(dict.fromkeys(words))


def _as_list(value: object) -> object:
    if isinstance(value, str):
        return [value]
    if not isinstance(value, list):
        raise ValueError("must be an id or a key, or a list of them")  # noqa: TRY004  # pydantic collects ValueError only
    return cast("list[object]", value)


def parse_time(value: object) -> datetime:
    """Reads a time in any form that names one; a day means its midnight, no offset means UTC."""
    return _parse(value, time.min)


def parse_end(value: object) -> datetime:
    """Like `parse_time`, but a day means its last microsecond."""
    return _parse(value, time.max)


def _parse(value: object, of_a_day: time) -> datetime:
    if isinstance(value, datetime) and value.tzinfo is UTC:
        # What was read before: an entry's times are looked at each time that it is shown.
        return value
    if not isinstance(value, datetime | str):
        raise ValueError("must be a string with an RFC 3339 time")  # noqa: TRY004  # pydantic collects ValueError only
    try:
        found = value if isinstance(value, datetime) else _quick_time(value) or read_time(value)
        if found is None:
            raise ValueError("must be an RFC 3339 time such as 2026-01-31T18:00:00Z, or a date")
        moment = found if isinstance(found, datetime) else datetime.combine(found, of_a_day)
        return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
    except OverflowError as error:
        raise ValueError("is out of range: the years are 1 to 9999") from error


def _quick_time(text: str) -> datetime | None:
    """A time in the form in which we write it ourselves, without the search for others."""
    if text[10:11] != "T" or not text.endswith("Z"):
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def format_time(moment: datetime) -> str:
    """RFC 3339 in UTC, with `Z`; microseconds only where there are any."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


class NamedInstant(datetime):
    """An instant with the words that named it, such as "2 hours ago": next time it is another."""

    words: str

    @classmethod
    def of(cls, moment: datetime, words: str) -> Self:
        instant = cls.combine(moment.date(), moment.timetz())
        instant.words = words
        return instant


def _format_as_said(moment: datetime) -> str:
    return moment.words if isinstance(moment, NamedInstant) else format_time(moment)


def visible(name: str) -> str:
    """The same for names that people see as the same, however their letters are composed."""
    return unicodedata.normalize("NFC", name)


def printable(text: str) -> str:
    """The text on one line of any terminal: what is no visible character is escaped.

    Controls, ends of lines, and the marks that turn the direction of writing are none.
    """
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )


def printable_lines(text: str) -> str:
    """The text on as many lines, for any terminal: what could control it is escaped.

    Tabs, ends of lines, spaces of every width and what joins an emoji stay as they are.
    """
    return "".join(
        character
        if character.isprintable() or character in _HARMLESS or category(character) == "Zs"
        else character.encode("unicode_escape").decode()
        for character in text.replace("\r\n", "\n")
    )


def quoted(name: str) -> str:
    """A name in a line of words: in quotes where it could be taken for some of them."""
    if _PLAIN_NAME.fullmatch(name):
        return name
    escaped = printable(name).replace('"', '\\"')
    return f'"{escaped}"'


def counted(count: int, one: str, several: str | None = None) -> str:
    """`1 entry`, `2 entries`; what is counted ends with an s where no other plural is given."""
    return f"{count} {one if count == 1 else several or f'{one}s'}"


def value_problem(problem: ErrorDetails) -> str:
    """What is wrong with a value, to be read after the argument's name."""
    if problem["type"] == "string_too_long":
        most = problem.get("ctx", {})["max_length"]
        return f"should have at most {most:,} characters, not {len(str(problem['input'])):,}"
    if problem["type"] == "dict_type":
        return "must be a JSON object such as {}"
    text = problem["msg"].replace(" after validation", "")
    for subject in ("Value error, ", "Input ", "String ", "Value ", "List "):
        text = text.removeprefix(subject)
    return text


STORABLE = AfterValidator(_refuse_unstorable)
"""Comes last in a string's annotation, so that its limits are told in characters."""

Label = Annotated[str, StringConstraints(min_length=1, max_length=255), STORABLE]
Key = Annotated[Label, AfterValidator(visible)]
"""As people see it: macOS takes letters apart, others do not."""

Title = Annotated[str, StringConstraints(max_length=200), STORABLE]
Content = Annotated[
    str,
    StringConstraints(min_length=1, max_length=MAX_CONTENT_CHARACTERS),
    STORABLE,
    AfterValidator(refuse_blank),
]
Tag = Annotated[str, StringConstraints(min_length=1, max_length=64), STORABLE]
Tags = Annotated[list[Tag], AfterValidator(_keep_first_of_each), Field(max_length=MAX_TAGS)]
References = Annotated[
    list[Label],
    BeforeValidator(_as_list),
    AfterValidator(_keep_first_of_each),
    Field(max_length=MAX_SUPERSEDED),
    WithJsonSchema(
        {"type": ["string", "array"], "items": {"type": "string"}, "maxItems": MAX_SUPERSEDED}
    ),
]
"""Ids or keys of entries; one may stand by itself."""

Importance = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Time = Annotated[
    datetime,
    BeforeValidator(parse_time, json_schema_input_type=str),
    # As JSON it is as `format_time` has it: pydantic does the same of what is in UTC, and quicker.
    WithJsonSchema({"type": "string"}, mode="serialization"),
]
Since = Annotated[
    datetime,
    BeforeValidator(parse_time, json_schema_input_type=str),
    PlainSerializer(_format_as_said, when_used="json"),
]
"""As JSON it is what was said, so that the cursor of a list fits the list that goes on later."""

Until = Annotated[
    datetime,
    BeforeValidator(parse_end, json_schema_input_type=str),
    PlainSerializer(_format_as_said, when_used="json"),
]


def as_entry_id(reference: str) -> EntryId | None:
    """The id that `reference` spells, or `None` where it can only be a key."""
    try:
        return EntryId(UUID(reference))
    except ValueError:
        return None
