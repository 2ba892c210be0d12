"""`diary-mcp verify`: the diary in the database, or a bundle with no database at all."""

import re
import sys
from pathlib import Path

import anyio
import click

from diary_mcp.commands.options import with_settings
from diary_mcp.domain.errors import InvalidArgumentError
from diary_mcp.domain.signing import KEY_PATTERN, ChainHead, PublicKey
from diary_mcp.domain.verification import VerificationReport
from diary_mcp.settings import Settings

_MAX_LISTED = 1_000
_NO_LIMIT_S = float("inf")
_HEAD = re.compile(r"([1-9][0-9]{0,15}):(sha256:[0-9a-f]{64})")


def _head(_context: click.Context, _option: click.Parameter, value: str | None) -> ChainHead | None:
    if value is None:
        return None
    found = _HEAD.fullmatch(value)
    if found is None:
        raise click.BadParameter("use SEQUENCE:sha256:…, as `diary-mcp verify` prints it")
    return ChainHead(sequence=int(found[1]), hash=found[2])


def _keys(
    _context: click.Context, _option: click.Parameter, values: tuple[str, ...]
) -> tuple[PublicKey, ...]:
    for value in values:
        if not re.fullmatch(KEY_PATTERN, value):
            raise click.BadParameter("use ed25519:…, as `diary-mcp key show` prints it")
    return tuple(map(PublicKey, values))


@click.command()
@with_settings
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option(
    "--head", "remembered", metavar="SEQUENCE:HASH", callback=_head, help="A head you remember."
)
@click.option(
    "--key", "trusted", metavar="KEY", multiple=True, callback=_keys, help="A key you trust."
)
@click.option("--strict", is_flag=True, help="Entries that are not signed are a failure too.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def verify(
    settings: Settings,
    *,
    file: Path | None,
    remembered: ChainHead | None,
    trusted: tuple[PublicKey, ...],
    strict: bool,
    as_json: bool,
) -> None:
    """Check the agent's diary, or FILE, by hashes and signatures.

    FILE is a bundle, or exported files: one, or a folder of them.
    """
    if file is not None and (file.is_dir() or file.suffix in {".md", ".jsonl"}):
        sys.exit(0 if _verify_files(file, trusted, strict=strict) else 1)
    if file is None:
        owner, report = anyio.run(_verify_diary, settings, remembered, trusted)
    else:
        owner, report = _verify_file(file, remembered, trusted)
    unsigned = report.totals.checked - report.totals.signed
    is_sound = _is_sound(report) and not (strict and unsigned)
    if as_json:
        click.echo(report.model_dump_json())
    else:
        _tell(owner, report, unsigned)
    sys.exit(0 if is_sound else 1)


def _verify_file(
    file: Path, remembered: ChainHead | None, trusted: tuple[PublicKey, ...]
) -> tuple[str, VerificationReport]:
    from diary_mcp.files.bundle_check import verify_bundle  # noqa: PLC0415  # either, not both
    from diary_mcp.keys.ed25519 import check_signature  # noqa: PLC0415  # likewise

    try:
        header, report = verify_bundle(
            file,
            check_signature,
            trusted=trusted,
            remembered=remembered,
            most_listed=_MAX_LISTED,
        )
    except InvalidArgumentError as error:
        raise InvalidArgumentError(f"{file}: {error}") from error
    return header.owner, report


def _verify_files(path: Path, trusted: tuple[PublicKey, ...], *, strict: bool) -> bool:
    from diary_mcp.files.proof_check import check_files  # noqa: PLC0415  # either, not both
    from diary_mcp.keys.ed25519 import check_signature  # noqa: PLC0415  # likewise

    checked = check_files([path], check_signature, trusted)
    signed = [each for each in checked if each.signer is not None]
    for each in checked:
        if each.problem is not None:
            click.echo(f"{each.name}: {each.problem}", err=True)
    for signer in sorted({each.signer for each in signed if each.signer is not None}):
        count = sum(each.signer == signer and each.problem is None for each in signed)
        click.echo(f"signed by {signer}: {count}")
    unsigned = len(checked) - len(signed)
    is_sound = all(each.problem is None for each in checked) and not (strict and unsigned)
    click.echo(f"checked {len(checked)}, signed {len(signed)}, not signed {unsigned}")
    click.echo("sound" if is_sound else "NOT sound")
    return is_sound


async def _verify_diary(
    settings: Settings, remembered: ChainHead | None, trusted: tuple[PublicKey, ...]
) -> tuple[str, VerificationReport]:
    from diary_mcp.app import open_foundation  # noqa: PLC0415  # a file needs no database

    bar = click.progressbar(
        length=1, label="verifying", file=sys.stderr, hidden=not sys.stderr.isatty()
    )

    async def report_progress(done: int, total: int) -> None:  # as it is called
        bar.length = total
        bar.update(done - bar.pos)

    with bar:
        async with open_foundation(settings) as foundation:
            report = await foundation.diary.verification.verify_all(
                settings.agent,
                report_progress,
                trusted=trusted,
                remembered=remembered,
                most_seconds=_NO_LIMIT_S,
                most_listed=_MAX_LISTED,
            )
    return settings.agent, report


def _is_sound(report: VerificationReport) -> bool:
    is_chain_sound = report.chain is None or report.chain.broken is None
    return is_chain_sound and all(entry.is_sound for entry in report.entries)


def _tell(owner: str, report: VerificationReport, unsigned: int) -> None:
    for entry in report.entries:
        if not entry.is_sound:
            problem = entry.problem or "its content hash does not match"
            click.echo(f"{entry.entry_id}: {problem}", err=True)
    chain, totals = report.chain, report.totals
    if chain is not None:
        if chain.broken is not None:
            click.echo(f"first broken link: {chain.broken}", err=True)
        head = "none" if chain.hash is None else f"{chain.sequence}:{chain.hash}"
        click.echo(f"chain of {owner}: {chain.sequence} links, head {head}")
    click.echo(
        f"checked {totals.checked}, signed {totals.signed}, not signed {unsigned}, "
        f"hash mismatches {totals.hash_mismatches}, invalid signatures {totals.invalid_signatures}"
    )
    click.echo("sound" if _is_sound(report) else "NOT sound")
