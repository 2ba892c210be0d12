"""Diaries: named collections of entries, of which every entry is in exactly one."""

import re
from typing import Literal, NamedTuple

from pydantic import Field

from diary_mcp.domain.entry import Sharing
from diary_mcp.domain.errors import InvalidArgumentError
from diary_mcp.domain.fields import (
    NAME_PATTERN,
    NAME_RULE,
    AgentName,
    DiaryId,
    Grantee,
    Model,
    Time,
)

MAIN = "main"
"""What every agent has from the start."""
EVERYTHING = "*"
"""In place of a name: all that the caller may read."""

GivenRole = Literal["viewer", "writer"]
DiaryRole = Literal["owner", "writer", "viewer"]


class DiaryName(NamedTuple):
    """Whose diary, and which."""

    owner: AgentName
    name: str

    def seen_by(self, caller: AgentName) -> str:
        """`NAME` of the caller's own, `OWNER/NAME` of another's."""
        return self.name if self.owner == caller else f"{self.owner}/{self.name}"


def parse_diary_name(text: str, caller: AgentName) -> DiaryName:
    """The diary that the caller names.

    Raises:
        InvalidArgumentError: it cannot be the name of a diary.
    """
    owner, slash, name = text.rpartition("/")
    for part in (owner, name) if slash else (name,):
        if not re.fullmatch(NAME_PATTERN, part):
            raise InvalidArgumentError(
                f"diary {text!r} is not a valid name: {NAME_RULE}; another agent's is OWNER/NAME."
            )
    return DiaryName(AgentName(owner) if slash else caller, name)


class HeldDiary(Model, frozen=True):
    """A diary as one caller may use it, as far as the rows say."""

    id: DiaryId
    owner: AgentName
    name: str
    role: DiaryRole

    @property
    def full_name(self) -> DiaryName:
        return DiaryName(self.owner, self.name)


class DiarySummary(Model, frozen=True):
    """A diary in a list; its `id` is `None` where it is a `main` without a row."""

    id: DiaryId | None
    owner: AgentName
    name: str
    role: DiaryRole
    named_by: AgentName
    """Its owner, or a former one."""
    entries: int
    latest: Time | None

    @property
    def full_name(self) -> DiaryName:
        return DiaryName(self.owner, self.name)


class DiaryShare(Model, frozen=True):
    """A role on a diary, given to one grantee; `sharing` as of an entry's share."""

    diary_id: DiaryId
    owner: AgentName
    name: str
    grantee: Grantee = Field(serialization_alias="with")
    role: GivenRole
    granted_by: AgentName
    """Who gave it and wrote its note: the owner of then, where the diary was handed over since."""
    created_at: Time
    expires_at: Time | None
    note: str | None
    sharing: Sharing

    @property
    def full_name(self) -> DiaryName:
        return DiaryName(self.owner, self.name)
