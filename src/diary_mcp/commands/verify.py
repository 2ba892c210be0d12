"""`diary-mcp verify`: the diary in the database, or a bundle with no database at all."""

import json
import re
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import anyio
import click

from diary_mcp.commands.options import with_settings
from diary_mcp.domain.chain import KEY_PATTERN, ChainHead, PublicKey
from diary_mcp.domain.errors import InvalidArgumentError
from diary_mcp.domain.fields import printable, quoted
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
@click.option("--strict", is_flag=True, help="What is not signed is a failure too.")
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
    verdict = _look(settings, file, remembered, trusted)
    is_passed = verdict.is_sound and not (strict and verdict.unsigned)
    if as_json:
        # In ASCII: what a terminal acts on is escaped.
        click.echo(json.dumps({**verdict.report, "ok": is_passed}))
    else:
        for line in verdict.problems:
            click.echo(printable(line), err=True)
        for line in verdict.lines:
            click.echo(printable(line))
        unsound = "NOT all signed" if verdict.is_sound else "NOT sound"
        click.echo("sound" if is_passed else unsound)
    sys.exit(0 if is_passed else 1)


@dataclass(frozen=True)
class _Verdict:
    """What was found, for people and for programs."""

    report: Mapping[str, object]
    problems: Sequence[str]
    lines: Sequence[str]
    is_sound: bool
    unsigned: int


def _look(
    settings: Settings,
    file: Path | None,
    remembered: ChainHead | None,
    trusted: tuple[PublicKey, ...],
) -> _Verdict:
    if file is None:
        return _of_chain(*anyio.run(_verify_diary, settings, remembered, trusted))
    if not file.is_dir() and file.suffix not in {".md", ".jsonl"}:
        return _of_chain(*_verify_bundle(file, remembered, trusted))
    if remembered is not None:
        raise InvalidArgumentError("--head is for a diary or a bundle: files hold no chain.")
    return _of_files(file, trusted)


def _verify_bundle(
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
        raise InvalidArgumentError(f"{printable(str(file))}: {error}") from error
    return header.owner, report


def _of_files(path: Path, trusted: tuple[PublicKey, ...]) -> _Verdict:
    from diary_mcp.files.proof_check import check_files  # noqa: PLC0415  # either, not both
    from diary_mcp.keys.ed25519 import check_signature  # noqa: PLC0415  # likewise

    checked = check_files([path], check_signature, trusted)
    signed = [each for each in checked if each.signer is not None]
    right = Counter(each.signer for each in signed if each.problem is None)
    lines = [f"signed by {signer}: {count}" for signer, count in sorted(right.items(), key=str)]
    lines += [
        f"{quoted(each.name)}: not covered by its signature: {', '.join(each.not_covered)}"
        for each in signed
        if each.not_covered
    ]
    unsigned = len(checked) - len(signed)
    lines.append(f"checked {len(checked)}, signed {len(signed)}, not signed {unsigned}")
    return _Verdict(
        report={
            "entries": [asdict(each) for each in checked],
            "totals": {"checked": len(checked), "signed": len(signed), "unsigned": unsigned},
        },
        problems=[f"{quoted(each.name)}: {each.problem}" for each in checked if each.problem],
        lines=lines,
        is_sound=all(each.problem is None for each in checked),
        unsigned=unsigned,
    )


def _of_chain(owner: str, report: VerificationReport) -> _Verdict:
    chain, totals = report.chain, report.totals
    unsigned = totals.checked - totals.signed
    problems = [
        f"{entry.entry_id}: {entry.problem or 'its content hash does not match'}"
        for entry in report.entries
        if not entry.is_sound
    ]
    lines: list[str] = []
    if chain is not None:
        if chain.broken is not None:
            problems.append(f"first broken link: {chain.broken}")
        head = "none" if chain.hash is None else f"{chain.sequence}:{chain.hash}"
        lines.append(f"chain of {owner}: {chain.sequence} links, head {head}")
    lines.append(
        f"checked {totals.checked}, signed {totals.signed}, not signed {unsigned}, "
        f"hash mismatches {totals.hash_mismatches}, invalid signatures {totals.invalid_signatures}"
    )
    return _Verdict(
        report=report.model_dump(mode="json"),
        problems=problems,
        lines=lines,
        is_sound=_is_sound(report),
        unsigned=unsigned,
    )


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
            await foundation.diary.agents.require(settings.agent)
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
