"""Which keys are valid at which place of a chain: rules 4 to 6 of docs/signing.md."""

from collections.abc import Callable, Collection

from pydantic import BaseModel

from diary_mcp.domain.fields import Time
from diary_mcp.domain.signing import PublicKey, Statement

CheckSignature = Callable[[PublicKey, str, bytes], bool]
"""Whether the signature of these bytes is valid for the key; anything malformed is not."""


class KeyPeriod(BaseModel, frozen=True):
    """A key, and the links from and up to which it is valid."""

    key: PublicKey
    admitted: int
    admitted_at: Time
    revoked: int | None = None
    revoked_at: Time | None = None


class KeyHistory:
    """The keys of one chain, as its links tell them one after another."""

    def __init__(self, trusted: Collection[PublicKey] = ()) -> None:
        self._trusted = frozenset(trusted)
        self._periods: dict[PublicKey, KeyPeriod] = {}

    @property
    def periods(self) -> tuple[KeyPeriod, ...]:
        """Every key that was ever valid, in the order of admission."""
        return tuple(self._periods.values())

    @property
    def valid(self) -> frozenset[PublicKey]:
        """Keys that may sign the next link."""
        return frozenset(period.key for period in self._periods.values() if period.revoked is None)

    def apply(self, statement: Statement) -> str | None:
        """Goes on by one link; what is wrong with its key, or `None`."""
        key = statement.key
        if statement.sequence == 1:
            self._admit(key, statement)
        problem = None if key in self.valid else self._invalid(statement)
        if problem is not None and not _is_takeover(statement):
            return problem
        return self._change(statement) or problem

    def _invalid(self, statement: Statement) -> str | None:
        if _is_takeover(statement):
            if statement.key in self._trusted:
                return None
            return f"takeover: {statement.key} admitted itself; no key before it agreed"
        was_known = statement.key in self._periods
        return f"{statement.key} {'was revoked' if was_known else 'was never admitted'}"

    def _change(self, statement: Statement) -> str | None:
        subject = statement.subject
        match statement.act:
            case "admit" if subject is None or subject in self._periods:
                own = statement.sequence == 1 and subject == statement.key
                return None if own else "admits a key that was there before"
            case "admit" if subject is not None:
                self._admit(subject, statement)
            case "revoke" if subject is None or subject not in self.valid:
                return "revokes a key that is not valid"
            case "revoke" if subject is not None:
                ended = {"revoked": statement.sequence, "revoked_at": statement.time}
                self._periods[subject] = self._periods[subject].model_copy(update=ended)
            case _:
                pass
        return None

    def _admit(self, key: PublicKey, statement: Statement) -> None:
        self._periods[key] = KeyPeriod(
            key=key, admitted=statement.sequence, admitted_at=statement.time
        )


def _is_takeover(statement: Statement) -> bool:
    return statement.act == "admit" and statement.subject == statement.key
