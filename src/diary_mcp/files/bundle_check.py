"""Checking a bundle, with nothing but the file."""

from collections.abc import Collection
from pathlib import Path

from diary_mcp.domain.chain import ChainHead, PublicKey
from diary_mcp.domain.errors import InvalidArgumentError
from diary_mcp.domain.verification import VerificationReport
from diary_mcp.files.bundle import BundleHeader, read_bundle
from diary_mcp.service.chain.check import ChainCheck
from diary_mcp.service.chain.key_history import CheckSignature
from diary_mcp.service.ports.chain import SignedLink
from diary_mcp.service.signing.verification import Collected


def verify_bundle(
    path: Path,
    check_signature: CheckSignature,
    *,
    trusted: Collection[PublicKey] = (),
    remembered: ChainHead | None = None,
    most_listed: int,
) -> tuple[BundleHeader, VerificationReport]:
    """What the bundle says of itself, and what checking it found. Blocks.

    Raises:
        InvalidArgumentError: it cannot be read, or is no bundle.
    """
    try:
        with path.open("rb") as file:
            parts = read_bundle(file)
            header = next(parts)
            if not isinstance(header, BundleHeader):
                raise InvalidArgumentError(f"{path} does not begin as a bundle does.")
            check = ChainCheck(header.owner, check_signature, trusted, remembered)
            collected = Collected(most_listed)
            count = 0
            for part in parts:
                if isinstance(part, SignedLink):
                    check.add_link(part)
                elif not isinstance(part, BundleHeader):
                    collected.add([check.check_entry(part)])
                    count += 1
    except OSError as error:
        raise InvalidArgumentError(f"it cannot be read ({error.strerror or error}).") from error
    collected.add(check.finish(header.end))
    if header.keys != check.told_keys.periods:
        check.break_at(1, "the key history in the first line is not the one of the links")
    return header, collected.report(check, count)
