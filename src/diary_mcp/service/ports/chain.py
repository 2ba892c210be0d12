"""What signing and checking need from the store and from whoever holds a key."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple, Protocol
from uuid import UUID

from diary_mcp.domain.chain import Act, PublicKey, SupersededEntry
from diary_mcp.domain.errors import ConflictError
from diary_mcp.domain.fields import AgentName, EntryId
from diary_mcp.domain.version import Version


class SignedLink(NamedTuple):
    """A link as it is kept: the statement's bytes as text, and the signature."""

    statement: str
    signature: str


class SigningKey(Protocol):
    """A private key, by what it can do."""

    @property
    def public_key(self) -> PublicKey: ...

    def sign(self, message: bytes) -> str: ...


class Signer(Protocol):
    """Whoever signs in this process."""

    @property
    def agent(self) -> AgentName:
        """Whose changes it signs; nobody else's."""
        ...

    async def keys(self) -> Sequence[SigningKey]:
        """Keys as they are now, the one to use first at the beginning.

        Raises:
            SigningKeyError: there is one that cannot be used.
        """
        ...


@dataclass(frozen=True)
class Head:
    """Where a chain ends, and which keys there are. `sequence` 0: nothing is signed yet."""

    sequence: int
    hash: str | None
    signed_at: datetime | None
    valid_keys: Sequence[PublicKey]
    known_keys: Sequence[PublicKey]


class HeadMovedError(ConflictError):
    """Somebody else has signed meanwhile, and nothing of the unit of work is there."""


class ChainMemory(Protocol):
    """How far this machine has seen its agent's chain, out of reach of the database."""

    @property
    def agent(self) -> AgentName:
        """Whose chain it is."""
        ...

    @property
    def path(self) -> str:
        """What to move away, so that it is forgotten."""
        ...

    def recall(self) -> Head | None:
        """The head that was remembered last.

        Raises:
            SigningKeyError: it cannot be read.
        """
        ...

    def remember(self, head: Head) -> None:
        """Remembers a head that is further on.

        Raises:
            OSError: it cannot be written.
        """
        ...


class NewLink(NamedTuple):
    """A link to append."""

    sequence: int
    hash: str
    statement: str
    signature: str
    act: Act
    entry_id: EntryId | None
    version: int | None
    supersedes: EntryId | None
    """The first of what its entry supersedes: for the release before."""
    salt: str | None


class KeptLink(NamedTuple):
    """A link, and the place where the store keeps it."""

    sequence: int
    statement: str
    signature: str

    @property
    def link(self) -> SignedLink:
        return SignedLink(self.statement, self.signature)


class LastLink(NamedTuple):
    """The last link about an entry."""

    entry_id: EntryId
    hash: str
    statement: str
    signature: str
    salt: str | None


class VersionToSign(NamedTuple):
    """What a link says of an entry's present version."""

    entry_id: EntryId
    key: str | None
    version: int
    content_hash: str
    created_at: datetime
    updated_at: datetime
    supersedes: Sequence[EntryId]
    act: Literal["write", "import"] = "write"
    origin: str | None = None
    """What an imported file said of its own signature, as canonical JSON."""
    wants_signature: bool = True
    """`False` for what was written before signing began."""


class RequestedSignature(NamedTuple):
    """A statement that waits for its signature."""

    id: UUID
    subject: str
    """The entry, or the key that it is about."""
    statement: str
    salt: str | None
    expires_at: datetime


class ChainReader(Protocol):
    """Chains as rows."""

    async def find_head(self, owner: AgentName) -> Head | None: ...

    async def find_last_links(
        self, owner: AgentName, entry_ids: Collection[EntryId]
    ) -> list[LastLink]:
        """Of those that have one."""
        ...

    async def find_superseded(self, entry_ids: Collection[EntryId]) -> Sequence[SupersededEntry]:
        """By what entries of any owner are known where they are superseded."""
        ...

    async def find_to_sign(
        self, owner: AgentName, entry_ids: Collection[EntryId]
    ) -> list[VersionToSign]:
        """Those that the owner has, in the order in which they were created."""
        ...

    async def list_pending(self, owner: AgentName) -> list[EntryId]:
        """Entries that wait for a signature, the oldest change first."""
        ...

    async def list_dropped(self, owner: AgentName) -> list[EntryId]:
        """Entries that were signed and are gone, without a signed deletion."""
        ...

    async def list_links(self, owner: AgentName, after: int, limit: int) -> list[KeptLink]:
        """At most `limit` links after the sequence `after`."""
        ...

    async def list_key_links(self, owner: AgentName) -> dict[int, SignedLink]:
        """By sequence: the first link, and those that admit and revoke keys."""
        ...

    async def list_salts(
        self, owner: AgentName, entry_ids: Collection[EntryId]
    ) -> Mapping[EntryId, Mapping[int, str]]:
        """By entry, then version: of the last link about it, where that has one."""
        ...

    async def list_whole_versions(
        self, owner: AgentName, entry_ids: Collection[EntryId]
    ) -> Mapping[EntryId, list[Version]]:
        """Earlier versions that are known whole, the newest first."""
        ...

    async def list_origins(
        self, owner: AgentName, entry_ids: Collection[EntryId]
    ) -> Mapping[EntryId, str]:
        """What the files said that the entries' present versions were imported from."""
        ...


class ChainWriter(ChainReader, Protocol):
    """Changes of a chain, inside a unit of work."""

    async def lock_head(self, owner: AgentName) -> Head:
        """The end of the chain, held until the unit of work ends.

        To be locked last: whoever holds it waits for nobody.
        """
        ...

    async def hold_entry(self, entry_id: EntryId) -> None:
        """Nobody changes or deletes the entry before the unit of work ends."""
        ...

    async def append(
        self, owner: AgentName, links: Sequence[NewLink], head: Head, expected: Head
    ) -> None:
        """Adds the links behind `expected`, and makes `head` the end of the chain.

        Raises:
            HeadMovedError: the chain ends elsewhere, which may be told at the end of the unit of
                work only; nothing of it is there then.
        """
        ...

    def after_commit(self, tell: Callable[[], None]) -> None:
        """Calls `tell` once the unit of work is committed."""
        ...

    async def put_origins(self, origins: Sequence[tuple[EntryId, int, str]]) -> None:
        """Keeps what imported files said of their signatures: entry, version, proof."""
        ...

    async def put_request(self, owner: AgentName, request: RequestedSignature) -> None:
        """Adds the request, in the place of an earlier one for the same thing."""
        ...

    async def expire_request(self, request_id: UUID) -> None:
        """Removes the request if its time is up."""
        ...

    async def take_request(
        self, owner: AgentName, request_id: UUID
    ) -> tuple[str, str | None] | None:
        """The statement and the salt of a request that has not expired; it is gone then."""
        ...
