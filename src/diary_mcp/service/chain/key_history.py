"""Which keys are valid at which place of a chain: rules 4 to 6 of docs/signing.md."""

from collections.abc import Callable, Container, Iterable
from typing import Self

from diary_mcp.domain.chain import Count, Key, PublicKey, Statement
from diary_mcp.domain.fields import Model, Time
from diary_mcp.service.chain.statements import read_statement
from diary_mcp.service.ports.chain import Head, SignedLink

CheckSignature = Callable[[PublicKey, str, bytes], bool]
"""Whether the signature of these bytes is valid for the key; anything malformed is not."""


class KeyPeriod(Model, frozen=True, extra="forbid"):
    """A key, and the links from and up to which it is valid."""

    key: Key
    admitted: Count
    admitted_at: Time
    revoked: Count | None = None
    revoked_at: Time | None = None


class _EveryKey(Container[PublicKey]):
    def __contains__(self, key: object, /) -> bool:
        return True


class KeyHistory:
    """The keys of one chain, as its links tell them one after another.

    Args:
        trusted: keys whose takeover is accepted; any other takeover admits nobody.
    """

    def __init__(self, trusted: Container[PublicKey] = ()) -> None:
        self._trusted = trusted
        self._periods: dict[PublicKey, KeyPeriod] = {}

    @classmethod
    def after(cls, head: Head, trusted: Container[PublicKey]) -> Self:
        """The history up to a head, of which only the keys are known, not since when."""
        history = cls(trusted)
        if head.signed_at is not None:
            for key in head.known_keys:
                history._periods[key] = KeyPeriod(
                    key=key,
                    admitted=head.sequence,
                    admitted_at=head.signed_at,
                    revoked=None if key in head.valid_keys else head.sequence,
                )
        return history

    @property
    def periods(self) -> tuple[KeyPeriod, ...]:
        """Every key that was ever valid, in the order of admission."""
        return tuple(self._periods.values())

    @property
    def valid(self) -> frozenset[PublicKey]:
        """Keys that may sign the next link."""
        return frozenset(period.key for period in self._periods.values() if period.revoked is None)

    def apply(self, statement: Statement) -> str | None:
        """Goes on by one link; what is wrong with its key, or `None`. A wrong one changes none."""
        if statement.sequence == 1:
            self._admit(statement.key, statement)
        if statement.key not in self.valid:
            problem = self._invalid(statement)
            if problem is not None:
                return problem
        return self._change(statement)

    def _invalid(self, statement: Statement) -> str | None:
        key = statement.key
        if statement.act == "admit" and statement.subject == key:
            if key in self._trusted:
                return None
            return f"takeover: {key} admitted itself; no key before it agreed"
        return f"{key} {'was revoked' if key in self._periods else 'was never admitted'}"

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


class ToldKeys:
    """The keys of a chain by its own word: every takeover counts, and no signature is checked."""

    def __init__(self) -> None:
        self._history = KeyHistory(_EveryKey())

    @property
    def periods(self) -> tuple[KeyPeriod, ...]:
        """As `KeyHistory` has them."""
        return self._history.periods

    def add(self, links: Iterable[SignedLink]) -> None:
        """Goes on by links, in order; one that cannot be read says nothing."""
        for link in links:
            try:
                self._history.apply(read_statement(link.statement))
            except ValueError:
                continue
