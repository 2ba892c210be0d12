"""Links of an owner's chain, and what goes with them (docs/signing.md)."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, Final, Literal, NewType, Self

from pydantic import Field, StringConstraints, model_validator

from diary_mcp.domain.fields import NAME_PATTERN, AgentName, EntryId, Model, Time

PublicKey = NewType("PublicKey", str)
"""`ed25519:` and the base64url of 32 bytes; its own fingerprint."""

KEY_PATTERN = r"ed25519:[A-Za-z0-9_-]{43}"
HASH_PATTERN = r"sha256:[0-9a-f]{64}"
LINK_FORMAT: Final = "diary-mcp/link/1"
LIST_FORMAT: Final = "diary-mcp/link/2"
"""Of a link whose entry supersedes several."""

MAX_INTEGER = 2**53 - 1
"""The largest that every reader of JSON has exactly."""

Act = Literal["write", "import", "delete", "admit", "revoke"]

Hash = Annotated[str, StringConstraints(pattern=f"^{HASH_PATTERN}$")]
Key = Annotated[PublicKey, StringConstraints(pattern=f"^{KEY_PATTERN}$")]
Owner = Annotated[AgentName, StringConstraints(pattern=f"^{NAME_PATTERN}$")]
Count = Annotated[int, Field(strict=True, ge=1, le=MAX_INTEGER)]

# Fewer are no list.
_FEW = 2
_OF_SOME_ACTS = frozenset({"commitment", "entry", "origin", "subject", "supersedes", "version"})
_REQUIRED: Mapping[Act, frozenset[str]] = MappingProxyType(
    {
        "write": frozenset({"entry", "version", "commitment"}),
        "import": frozenset({"entry", "version", "commitment"}),
        "delete": frozenset({"entry", "version"}),
        "admit": frozenset({"subject"}),
        "revoke": frozenset({"subject"}),
    }
)
_ALLOWED: Mapping[Act, frozenset[str]] = MappingProxyType(
    {
        "write": frozenset({"supersedes"}),
        "import": frozenset({"supersedes", "origin"}),
        "delete": frozenset({"commitment"}),
        "admit": frozenset[str](),
        "revoke": frozenset[str](),
    }
)


class SupersededEntry(Model, frozen=True, extra="forbid"):
    """What an entry supersedes, by hash: of its last link, or of its content where it has none."""

    content_hash: Hash | None
    entry: EntryId
    link: Hash | None

    @model_validator(mode="after")
    def _check_one_hash(self) -> Self:
        if (self.content_hash is None) == (self.link is None):
            raise ValueError("exactly one of content_hash and link is null")
        return self


class Statement(Model, frozen=True, extra="forbid"):
    """What is signed. Every member is there; one that does not apply to its act is null."""

    act: Act
    commitment: Hash | None
    entry: EntryId | None
    format: Literal["diary-mcp/link/1", "diary-mcp/link/2"]
    key: Key
    origin: Hash | None
    owner: Owner
    previous: Hash | None
    sequence: Count
    subject: Key | None
    supersedes: SupersededEntry | tuple[SupersededEntry, ...] | None
    time: Time
    version: Count | None

    @model_validator(mode="after")
    def _check_members(self) -> Self:
        given = {name for name in _OF_SOME_ACTS if getattr(self, name) is not None}
        required = _REQUIRED[self.act]
        if not required <= given <= required | _ALLOWED[self.act]:
            raise ValueError(f"has members that are not those of {self.act}")
        if (self.previous is None) != (self.sequence == 1):
            raise ValueError("only the first link has no previous one")
        if (self.format == LIST_FORMAT) != isinstance(self.supersedes, tuple):
            raise ValueError("only a link of the second format supersedes several entries")
        ids = [each.entry for each in self.superseded]
        if ids != sorted(set(ids)) or (self.format == LIST_FORMAT and len(ids) < _FEW):
            raise ValueError("does not name several entries once each, by their ids")
        return self

    @property
    def superseded(self) -> tuple[SupersededEntry, ...]:
        """What its entry supersedes, by id."""
        if self.supersedes is None:
            return ()
        return self.supersedes if isinstance(self.supersedes, tuple) else (self.supersedes,)


def as_said(
    superseded: Sequence[SupersededEntry],
) -> SupersededEntry | tuple[SupersededEntry, ...] | None:
    """What a statement says of entries that are superseded: none, one, or all by id."""
    if len(superseded) > 1:
        return tuple(sorted(superseded, key=lambda each: each.entry))
    return next(iter(superseded), None)


class Opening(Model, frozen=True, extra="forbid"):
    """What a commitment is made of, besides the content hash."""

    created_at: Time
    key: str | None
    salt: str
    updated_at: Time


class Proof(Model, frozen=True, extra="forbid"):
    """What a file says of its entry's signature, so that it can be checked anywhere."""

    opening: Opening
    signature: str
    statement: Statement


class ChainHead(Model, frozen=True):
    """Where a chain ends at present."""

    sequence: int
    hash: str

    def __str__(self) -> str:
        return f"{self.sequence}:{self.hash}"
