"""Checking the signatures that files brought along: no database, and whoever wrote them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from diary_mcp.domain.signing import PublicKey
from diary_mcp.files.reading import read_batches
from diary_mcp.files.sources import Rejection, Source, find_sources
from diary_mcp.service.archive.importer import ImportedEntry
from diary_mcp.service.chain.key_history import CheckSignature
from diary_mcp.service.chain.proofs import check_proof
from diary_mcp.service.chain.statements import read_proof

_AT_ONCE = 100


@dataclass(frozen=True)
class CheckedFile:
    """An entry in a file. Without a signer it is not signed."""

    name: str
    signer: str | None
    problem: str | None


def check_files(
    paths: Iterable[Path], check_signature: CheckSignature, trusted: Sequence[PublicKey]
) -> list[CheckedFile]:
    """Each entry of the files, Markdown or JSON Lines, with what is wrong with its signature.

    Blocks.
    """
    found = list(find_sources(paths))
    checked = [
        CheckedFile(each.path, None, each.reason) for each in found if isinstance(each, Rejection)
    ]
    sources = [each for each in found if isinstance(each, Source)]
    for batch in read_batches(sources, _AT_ONCE):
        checked += [CheckedFile(each.path, None, each.reason) for each in batch.rejected]
        checked += [_check(entry, check_signature, trusted) for entry in batch.entries]
    return checked


def _check(
    entry: ImportedEntry, check_signature: CheckSignature, trusted: Sequence[PublicKey]
) -> CheckedFile:
    name = entry.name or entry.draft.key or str(entry.entry_id)
    proof = read_proof(entry.origin)
    if proof is None:
        return CheckedFile(name, None, None)
    statement = proof.statement
    problem = check_proof(proof, entry.draft, check_signature)
    if problem is None and trusted and statement.key not in trusted:
        problem = "it is signed by a key that you did not name"
    return CheckedFile(name, f"{statement.owner} {statement.key}", problem)
