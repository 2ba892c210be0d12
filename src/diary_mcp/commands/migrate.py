"""`diary-mcp migrate`."""

import anyio
import click

from diary_mcp.commands.options import with_settings
from diary_mcp.migrating import open_migrated_database
from diary_mcp.settings import Settings


@click.command()
@with_settings
def migrate(settings: Settings) -> None:
    """Apply pending migrations, the diary's and DBOS's."""
    anyio.run(_migrate, settings)
    click.echo("The database is up to date.")


async def _migrate(settings: Settings) -> None:
    async with open_migrated_database(settings):
        pass
