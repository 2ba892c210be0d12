"""The arguments of every tool: what a client may send, with its limits.

Strict: a number is no string, and an unknown name is refused.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Self
from uuid import UUID

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from diary_mcp.domain.chain import KEY_PATTERN, PublicKey
from diary_mcp.domain.diaries import GivenRole
from diary_mcp.domain.entry import EntryChanges, EntryDraft, EntryFilters, Scope, SearchMode
from diary_mcp.domain.errors import InvalidArgumentError
from diary_mcp.domain.fields import (
    STORABLE,
    EntryType,
    Label,
    Model,
    NamedInstant,
    Time,
    parse_end,
    parse_time,
    refuse_blank,
    value_problem,
)
from diary_mcp.domain.query_dates import read_period


def _check_key(text: str) -> str:
    if not re.fullmatch(KEY_PATTERN, text):
        raise ValueError("must be ed25519: and 43 characters, as `diary-mcp key show` prints it")
    return text


def _check_request(text: str) -> str:
    try:
        return str(UUID(text))
    except ValueError as error:
        raise ValueError("must be the request_id of a diary_signature_request") from error


def _read_since(value: object) -> datetime:
    return _read_moment(value, parse_time, is_end=False)


def _read_until(value: object) -> datetime:
    return _read_moment(value, parse_end, is_end=True)


def _read_moment(value: object, read: Callable[[object], datetime], *, is_end: bool) -> datetime:
    """A time, or the first or last instant of what words name that a search understands."""
    try:
        return read(value)
    except ValueError as error:
        if isinstance(error.__cause__, OverflowError):
            raise
        words = value if isinstance(value, str) and len(value) <= _MAX_MOMENT_CHARACTERS else ""
        period = read_period(words, datetime.now(UTC))
        if period is None:
            raise ValueError(_NO_MOMENT) from error
        return NamedInstant.of(period[is_end], words)


EntryReference = Annotated[Label, Field(description="Id or own key.")]
Cursor = Annotated[str, Field(max_length=1_000), STORABLE]
# It names every hit that was shown.
SearchCursor = Annotated[str, Field(max_length=10_000), STORABLE]
GranteeName = Annotated[
    str, Field(min_length=1, max_length=100, description="Agent, or group:NAME."), STORABLE
]

Since = Annotated[
    datetime,
    BeforeValidator(_read_since, json_schema_input_type=str),
    Field(description="RFC 3339, a day, yesterday, last week …"),
]
Until = Annotated[
    datetime,
    BeforeValidator(_read_until, json_schema_input_type=str),
    Field(description="A day counts whole."),
]

Key = Annotated[PublicKey, Field(max_length=51), AfterValidator(_check_key)]

_LABEL = TypeAdapter[str](Label)
_MAX_MOMENT_CHARACTERS = 64
_NO_MOMENT = (
    "must be a time such as 2026-01-31T18:00:00Z, a day, month or year such as 2026-01-31, 2026-01 "
    "or 2026, or words such as now, yesterday, monday, last week, 2 hours ago or May 2025"
)


class Arguments(Model, frozen=True, extra="forbid", strict=True):
    """Base of every tool's arguments."""


class NoArguments(Arguments, frozen=True):
    pass


class _Written(Arguments, frozen=True):
    """What is written down: whatever names or describes something is there to be read."""

    @field_validator("title", "tags", "author", "session", "key", "note", check_fields=False)
    @classmethod
    def _check_readable(cls, value: str | list[str] | None) -> str | list[str] | None:
        for text in [value] if isinstance(value, str) else value or ():
            refuse_blank(text)
        return value


class CreateArguments(EntryDraft, _Written, frozen=True):
    idempotency_key: Label | None = Field(default=None, description="Makes it safe to call again.")
    allow_secret: bool = False

    @property
    def draft(self) -> EntryDraft:
        return EntryDraft(**self.model_dump(exclude={"idempotency_key", "allow_secret"}))


class EntryArguments(Arguments, frozen=True):
    entry_id: EntryReference


class GetArguments(EntryArguments, frozen=True):
    version: int | None = Field(default=None, ge=1, description="An earlier one, of your own.")
    start: int = Field(default=0, ge=0, alias="from", description="Character, see next_from.")


class ListArguments(EntryFilters, Arguments, frozen=True):
    since: Since | None = None
    until: Until | None = None
    limit: int = Field(default=20, ge=1, le=100)
    cursor: Cursor | None = None

    @property
    def filters(self) -> EntryFilters:
        return EntryFilters(**self.model_dump(exclude={"limit", "cursor"} | _unsaid(self)))


def _unsaid(arguments: EntryFilters) -> set[str]:
    """A scope that was not given is another one where a diary is looked into."""
    return {"scope"} - arguments.model_fields_set


class SearchArguments(EntryFilters, Arguments, frozen=True):
    query: Annotated[str, Field(min_length=1, max_length=1_000), STORABLE]
    mode: SearchMode = "hybrid"
    scope: Scope = "all"
    since: Since | None = None
    until: Until | None = None
    include_superseded: bool = False
    limit: int = Field(default=10, ge=1, le=50)
    cursor: SearchCursor | None = None

    @property
    def filters(self) -> EntryFilters:
        unasked = {"query", "mode", "limit", "cursor"}
        return EntryFilters(**self.model_dump(exclude=unasked))


class UpdateArguments(EntryChanges, _Written, frozen=True):
    entry_id: EntryReference
    expected_version: int = Field(ge=1, description="The version you read.")

    @property
    def changes(self) -> EntryChanges:
        given = self.model_dump(exclude={"entry_id", "expected_version"}, exclude_unset=True)
        return EntryChanges(**given)


class _SharedThing(Arguments, frozen=True):
    """What is shared: an entry, or a diary with all that is in it."""

    entry_id: EntryReference | None = None
    diary: Label | None = Field(default=None, description="Instead of an entry.")

    @model_validator(mode="after")
    def _check_one(self) -> Self:
        if (self.entry_id is None) == (self.diary is None):
            raise _not_one_of_two()
        return self


def _not_one_of_two() -> PydanticCustomError:
    return PydanticCustomError("one_of_two", "give either entry_id or diary")


class ShareArguments(_SharedThing, _Written, frozen=True):
    grantee: GranteeName = Field(alias="with")
    role: GivenRole = "viewer"
    expires_at: Time | None = Field(default=None, description="RFC 3339; never if absent.")
    note: Annotated[str, Field(max_length=1_000), STORABLE] | None = None


class UnshareArguments(_SharedThing, frozen=True):
    grantee: GranteeName = Field(alias="with")


class SharesArguments(Arguments, frozen=True):
    entry_id: EntryReference | None = None
    diary: Label | None = None
    limit: int = Field(default=20, ge=1, le=100)
    cursor: Cursor | None = None

    @model_validator(mode="after")
    def _check_not_both(self) -> Self:
        if self.entry_id is not None and self.diary is not None:
            raise _not_one_of_two()
        return self


class DiariesArguments(Arguments, frozen=True):
    open: Label | None = Field(default=None, description="Your own; made if there is none.")


class TagsArguments(Arguments, frozen=True):
    prefix: Annotated[str, Field(max_length=64), STORABLE] = ""
    diary: Label | None = None
    limit: int = Field(default=50, ge=1, le=200)


class ReflectArguments(Arguments, frozen=True):
    since: Since | None = None
    until: Until | None = None
    types: list[EntryType] | None = None
    diary: Label | None = None
    limit: int = Field(default=50, ge=1, le=200, description="Of each list.")


class VerifyArguments(Arguments, frozen=True):
    entry_id: EntryReference | None = None


class SignatureRequestArguments(Arguments, frozen=True):
    entry_id: Label | None = None
    admit: Key | None = None
    revoke: Key | None = None
    key: Key | None = None


class SignArguments(Arguments, frozen=True):
    request_id: Annotated[str, Field(max_length=36), AfterValidator(_check_request)]
    signature: Annotated[str, Field(max_length=86)]


def check_label(name: str, text: str) -> str:
    """`text`, where it can be an id, a key, a tag or any other short word.

    Raises:
        InvalidArgumentError: it is empty or too long, or holds what no string may hold.
    """
    try:
        return _LABEL.validate_python(text)
    except ValidationError as error:
        problem = value_problem(error.errors(include_url=False)[0])
        raise InvalidArgumentError(f"{name} {problem}. Correct it and try again.") from error
