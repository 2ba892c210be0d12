"""What can go wrong, told to the caller: one class per thing a caller may do differently.

Every message names the thing and the next step. `code` is the stable word that a tool error
begins with (docs/tools.md).
"""

from typing import ClassVar, Literal

ErrorCode = Literal[
    "invalid_argument", "not_found", "forbidden", "conflict", "unavailable", "internal"
]


class DiaryError(Exception):
    """Base of every error that a caller is meant to read."""

    code: ClassVar[ErrorCode] = "internal"


class InvalidArgumentError(DiaryError):
    """An argument, a file or a setting that cannot be used as it is."""

    code: ClassVar[ErrorCode] = "invalid_argument"


class NotFoundError(DiaryError):
    """Nothing of that name that the caller may read; never tells whether it exists."""

    code: ClassVar[ErrorCode] = "not_found"


class DiaryNotFoundError(NotFoundError):
    """No such diary; the message names others, close to it, that the agent may read."""


class ForbiddenError(DiaryError):
    """The caller may read the entry, but not do this to it."""

    code: ClassVar[ErrorCode] = "forbidden"


class ConflictError(DiaryError):
    """Somebody else was first: version, idempotency key, key, or supersession."""

    code: ClassVar[ErrorCode] = "conflict"


class UnavailableError(DiaryError):
    """A backend does not answer; nothing was changed, and trying again is right."""

    code: ClassVar[ErrorCode] = "unavailable"


class DatabaseUnavailableError(UnavailableError):
    """PostgreSQL cannot be started or reached."""


class EmbeddingUnavailableError(UnavailableError):
    """There is no usable embedding model; search goes on by words."""


class LocksLostError(DatabaseUnavailableError):
    """The entries' locks were lost while the permission backend was being written to.

    What was written may have undone what another process has settled since: only settling again
    makes sure that it has not.
    """


class SigningKeyError(UnavailableError):
    """The agent's private key cannot be used: nothing is written unsigned instead."""


class PermissionBackendUnavailableError(UnavailableError):
    """The permission backend gave no usable answer: neither yes nor no."""


class UnansweredWriteError(PermissionBackendUnavailableError):
    """Whether the permission backend has made a change, or will make it later, is unknown."""


class PermissionRefusedError(DiaryError):
    """The permission backend refuses this write for good; repeating it would not help."""
