"""`diary-mcp export`."""

import sys
from pathlib import Path

import anyio
import click

from diary_mcp.app import open_foundation
from diary_mcp.commands.options import with_settings
from diary_mcp.files.export_folder import ExportFormat, ExportReport, export_entries
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
def export(settings: Settings, *, directory: Path, file_format: ExportFormat) -> None:
    """Write every entry that the agent owns into DIR."""
    report = anyio.run(_export, settings, directory, file_format)
    for kept in report.kept:
        click.echo(f"{kept.path}: {kept.reason}", err=True)
    click.echo(f"exported {report.written}, unchanged {report.unchanged}, kept {len(report.kept)}")
    sys.exit(1 if report.kept else 0)


async def _export(settings: Settings, directory: Path, file_format: ExportFormat) -> ExportReport:
    async with open_foundation(settings) as foundation:
        return await export_entries(
            directory, owner=settings.agent, store=foundation.store, file_format=file_format
        )
