"""`diary-mcp import`."""

import sys
from dataclasses import dataclass
from pathlib import Path

import anyio
import click

from diary_mcp.app import Foundation, open_foundation, run_workflows
from diary_mcp.commands.options import with_settings
from diary_mcp.commands.wording import for_terminal
from diary_mcp.domain.credentials import CredentialDoor
from diary_mcp.files.import_paths import ImportReport, OnProgress, import_paths
from diary_mcp.files.reading import CLOSED_DOOR
from diary_mcp.settings import Settings

_SETTLING_S = 10
_LOOK_EVERY_S = 0.1


@click.command("import")
@with_settings
@click.argument(
    "paths",
    metavar="PATH...",
    nargs=-1,
    required=True,
    type=click.Path(path_type=Path, readable=False),
)
@click.option("--dry-run", is_flag=True, help="Read and compare, write nothing.")
@click.option("--allow-secrets", is_flag=True, help="Take what looks like a credential, tagged.")
@click.option("--diary", metavar="NAME", help="Where what names no diary goes; else main.")
@click.option("--force", is_flag=True, help="Replace what was changed in the diary since.")
def import_files(
    settings: Settings,
    *,
    paths: tuple[Path, ...],
    dry_run: bool,
    allow_secrets: bool,
    diary: str | None,
    force: bool,
) -> None:
    """Read Markdown files, JSON Lines, folders of them, and what other programs keep.

    Those are Claude Code's memory, Obsidian vaults, basic-memory's folder, server-memory's lines,
    and the exports of ChatGPT and Claude, zipped or not.
    """
    is_terminal = sys.stderr.isatty()
    with click.progressbar(
        length=1, label="importing", file=sys.stderr, hidden=not is_terminal
    ) as bar:

        def on_progress(done: int, total: int) -> None:
            bar.length = total
            bar.update(done - bar.pos)

        is_open = allow_secrets or settings.secrets == "allow"
        door = CLOSED_DOOR._replace(is_open=is_open)
        choices = _Choices(door, diary, dry_run=dry_run, may_overwrite=force)
        report = anyio.run(_import, settings, paths, choices, on_progress)
    for rejection in report.rejected:
        click.echo(f"{rejection.path}: {for_terminal(rejection.reason)}", err=True)
    for name, count in report.closed.items():
        click.echo(
            f"{settings.agent} may not write to the diary {name}: {count} of its entries are not "
            "put there. Their files still name it.",
            err=True,
        )
    click.echo(
        f"imported {report.imported}, unchanged {report.unchanged}, rejected {len(report.rejected)}"
    )
    sys.exit(1 if report.rejected else 0)


@dataclass(frozen=True)
class _Choices:
    door: CredentialDoor
    diary: str | None
    dry_run: bool
    may_overwrite: bool


async def _import(
    settings: Settings,
    paths: tuple[Path, ...],
    choices: "_Choices",
    on_progress: OnProgress,
) -> ImportReport:
    async with open_foundation(settings, with_keys=True) as foundation:
        report = await import_paths(
            paths,
            owner=settings.agent,
            store=foundation.store,
            signing=foundation.signing,
            dry_run=choices.dry_run,
            door=choices.door,
            may_overwrite=choices.may_overwrite,
            places=foundation.diary.places,
            diary=choices.diary,
            on_progress=on_progress,
        )
        if report.imported and not choices.dry_run:
            await _settle(foundation)
    return report


async def _settle(foundation: Foundation) -> None:
    """Does the permission work here and now: perhaps no server runs that would."""
    async with run_workflows(foundation):
        with anyio.move_on_after(_SETTLING_S):
            while (await foundation.settlements.count_backlog()).pending:  # noqa: ASYNC110  # in another process, perhaps
                await anyio.sleep(_LOOK_EVERY_S)
            return
    click.echo(
        "Some permission changes are still pending; a running server settles them.", err=True
    )
