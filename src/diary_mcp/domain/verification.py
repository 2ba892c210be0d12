"""What checking entries against their hashes and signatures found."""

from diary_mcp.domain.fields import EntryId, Model, Time


class Verification(Model, frozen=True):
    """One entry. `signature_valid` and `signer` are `None` where this version is not signed."""

    entry_id: EntryId
    content_hash: str | None = None
    """As it is stored; `None` of an entry that is gone."""
    hash_matches: bool
    signature_valid: bool | None = None
    signer: str | None = None
    """The public key of the last link about it."""
    signed_at: Time | None = None
    link: str | None = None
    """The hash of the link that signs this version; both only where one entry is asked for."""
    problem: str | None = None
    """What does not fit the chain."""

    @property
    def is_sound(self) -> bool:
        """Whether nothing speaks against the entry."""
        return self.hash_matches and self.signature_valid is not False

    @property
    def is_signed(self) -> bool:
        """Whether this version has a signature, valid or not."""
        return self.signature_valid is not None


class BrokenLink(Model, frozen=True):
    """The first link of a chain at which a rule of docs/signing.md fails."""

    sequence: int
    problem: str


class ChainReport(Model, frozen=True):
    """The chain as a whole."""

    sequence: int = 0
    hash: str | None = None
    """Of the last link; with its sequence what to remember."""
    broken: str | None = None
    """The first broken link, and what is wrong with it."""


class VerificationTotals(Model, frozen=True):
    """All entries that were checked, whether they are listed or not."""

    checked: int = 0
    hash_mismatches: int = 0
    signed: int = 0
    invalid_signatures: int = 0

    def plus(self, found: Verification) -> "VerificationTotals":
        """The totals with one entry more."""
        return VerificationTotals(
            checked=self.checked + 1,
            hash_mismatches=self.hash_mismatches + (not found.hash_matches),
            signed=self.signed + (found.signature_valid is not None),
            invalid_signatures=self.invalid_signatures + (found.signature_valid is False),
        )


class VerificationReport(Model, frozen=True):
    """Entries with a problem, and what all that were checked add up to.

    Where one entry was asked for, it is listed in any case.
    """

    entries: tuple[Verification, ...]
    totals: VerificationTotals
    chain: ChainReport | None = None
    """`None` for a viewer of the entry."""
    notice: str | None = None
    """What was not listed or not checked, or `None`."""
