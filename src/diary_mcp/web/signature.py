"""What checking an entry found, in a sentence."""

from dataclasses import dataclass
from typing import Literal

from diary_mcp.domain.entry import Entry
from diary_mcp.domain.verification import VerificationReport
from diary_mcp.web.names import format_minute


@dataclass(frozen=True)
class SignatureSentence:
    """The sentence, and whether it is good news."""

    mood: Literal["good", "open", "bad"]
    text: str
    is_cut_short: bool = False
    """Whether the check ran out of time, so that there is more to ask for."""

    signer: str | None = None
    """The key that signed, where the signature holds."""


def say_signature(entry: Entry, report: VerificationReport) -> SignatureSentence:
    """What was found of the entry just now."""
    (found,) = report.entries
    if not found.hash_matches:
        return SignatureSentence(
            "bad",
            "This is not what was written: the text does not match its hash. Somebody changed it "
            "in the database.",
        )
    if found.signature_valid is None:
        why = (
            f"it waits for the key of {entry.owner}; `diary-mcp sign` signs it"
            if entry.signature.state == "pending"
            else "it was written without one"
        )
        return SignatureSentence("open", f"The text matches its hash. No signature yet: {why}.")
    if report.notice is not None:
        return SignatureSentence(
            "open",
            "The text matches its hash. The chain of signatures is too long to check while you "
            "wait for this page.",
            is_cut_short=True,
        )
    if not found.signature_valid:
        problem = found.problem or "the signature does not fit the text"
        return SignatureSentence("bad", f"The signature does not hold: {problem}.")
    when = "" if found.signed_at is None else f" on {format_minute(found.signed_at)}"
    return SignatureSentence(
        "good",
        f"Checked just now: {entry.owner} signed exactly this text{when}, and the chain up to it "
        "is whole.",
        signer=found.signer,
    )
