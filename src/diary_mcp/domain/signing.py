"""Links of an owner's chain, and what goes with them (docs/signing.md)."""

from typing import Literal, NewType

from pydantic import BaseModel, ConfigDict

from diary_mcp.domain.fields import AgentName, EntryId, Time

PublicKey = NewType("PublicKey", str)
"""`ed25519:` and the base64url of 32 bytes; its own fingerprint."""

KEY_PATTERN = r"ed25519:[A-Za-z0-9_-]{43}"
LINK_FORMAT = "diary-mcp/link/1"

Act = Literal["write", "import", "delete", "admit", "revoke"]


class SupersededEntry(BaseModel):
    """What an entry supersedes, by hash: of its last link, or of its content where it has none."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    content_hash: str | None
    entry: EntryId
    link: str | None


class Statement(BaseModel):
    """What is signed. Every member is there; one that does not apply is null."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    act: Act
    commitment: str | None
    entry: EntryId | None
    format: Literal["diary-mcp/link/1"]
    key: PublicKey
    origin: str | None
    owner: AgentName
    previous: str | None
    sequence: int
    subject: PublicKey | None
    supersedes: SupersededEntry | None
    time: Time
    version: int | None


class Opening(BaseModel):
    """What a commitment is made of, besides the content hash."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    created_at: Time
    key: str | None
    salt: str
    updated_at: Time


class Proof(BaseModel):
    """What a file says of its entry's signature, so that it can be checked anywhere."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    opening: Opening
    signature: str
    statement: Statement


class ChainHead(BaseModel, frozen=True):
    """Where a chain ends at present."""

    sequence: int
    hash: str

    def __str__(self) -> str:
        return f"{self.sequence}:{self.hash}"
