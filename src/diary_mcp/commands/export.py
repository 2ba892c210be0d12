"""`diary-mcp export`."""

import sys
from dataclasses import replace
from pathlib import Path

import anyio
import click

from diary_mcp.app import open_foundation
from diary_mcp.commands.options import with_settings
from diary_mcp.commands.wording import for_terminal
from diary_mcp.domain.diaries import parse_diary_name
from diary_mcp.domain.errors import InvalidArgumentError
from diary_mcp.files.export_folder import (
    ExportChoice,
    ExportFormat,
    ExportReport,
    export_entries,
)
from diary_mcp.settings import Settings


@click.command("export")
@with_settings
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--format",
    "file_format",
    type=click.Choice(["markdown", "jsonl", "bundle"]),
    default="markdown",
    show_default=True,
)
@click.option("--diary", metavar="NAME", help="Only what is in this diary: NAME, or OWNER/NAME.")
@click.option("--all", "by_diary", is_flag=True, help="Each diary in a folder of its own.")
@click.option(
    "--names",
    type=click.Choice(["id", "title"]),
    help="What a file is called where the entry has no key.  [default: title with --diary and "
    "--all, else id]",
)
def export(
    settings: Settings,
    *,
    directory: Path,
    file_format: ExportFormat,
    diary: str | None,
    by_diary: bool,
    names: str | None,
) -> None:
    """Write every entry that the agent owns into DIR."""
    if file_format == "bundle" and (diary or by_diary):
        raise InvalidArgumentError(
            "A bundle is the whole signed chain of its owner, in whichever diary an entry is; "
            "leave out --diary and --all."
        )
    if diary and by_diary:
        raise InvalidArgumentError(
            "--diary names one diary and --all means every one; give only one of the two."
        )
    with_titles = names == "title" or (names is None and (by_diary or diary is not None))
    choice = ExportChoice(by_diary=by_diary, with_titles=with_titles)
    report = anyio.run(_export, settings, directory, file_format, diary, choice)
    for kept in report.kept:
        click.echo(f"{kept.path}: {for_terminal(kept.reason)}", err=True)
    click.echo(f"exported {report.written}, unchanged {report.unchanged}, kept {len(report.kept)}")
    sys.exit(1 if report.kept else 0)


async def _export(
    settings: Settings,
    directory: Path,
    file_format: ExportFormat,
    diary: str | None,
    choice: ExportChoice,
) -> ExportReport:
    async with open_foundation(settings) as foundation:
        await foundation.diary.agents.require(settings.agent)
        if diary is not None:
            name = parse_diary_name(diary, settings.agent)
            await foundation.diary.places.look(settings.agent, diary, None)
            choice = replace(choice, diary=name.seen_by(settings.agent))
        return await export_entries(
            directory,
            owner=settings.agent,
            store=foundation.store,
            file_format=file_format,
            choice=choice,
        )
