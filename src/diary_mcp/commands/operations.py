"""`diary-mcp migrate` and `diary-mcp reconcile`."""

import anyio
import click

from diary_mcp.app import (
    count_rows_adrift,
    open_foundation,
    open_migrated_database,
    repair_rows_adrift,
)
from diary_mcp.commands.options import with_settings
from diary_mcp.service.reconciliation import DriftCounts
from diary_mcp.settings import Settings


@click.command()
@with_settings
def migrate(settings: Settings) -> None:
    """Apply pending migrations, the diary's and DBOS's."""
    anyio.run(_migrate, settings)
    click.echo("The database is up to date.")


@click.command()
@with_settings
@click.option("--dry-run", is_flag=True, help="Only report.")
def reconcile(settings: Settings, *, dry_run: bool) -> None:
    """Compare every row with the permission backend's tuples and repair what differs."""
    found = anyio.run(_reconcile, settings, dry_run)
    done = "found" if dry_run else "repaired"
    click.echo(f"{done} {found.missing} missing and {found.stray} stray relation tuples")


async def _migrate(settings: Settings) -> None:
    async with open_migrated_database(settings):
        pass


async def _reconcile(settings: Settings, dry_run: bool) -> DriftCounts:  # noqa: FBT001  # anyio.run passes by position
    async with open_foundation(settings) as foundation:
        if dry_run:
            return await count_rows_adrift(foundation)
        return await repair_rows_adrift(foundation)
