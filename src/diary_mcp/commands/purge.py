"""`diary-mcp purge`: what was deleted, also off the disk."""

import anyio
import click

from diary_mcp.commands.options import errors_told, require_database, with_settings
from diary_mcp.domain.errors import InvalidArgumentError
from diary_mcp.opening import open_postgres
from diary_mcp.settings import Settings
from diary_mcp.store import purging


@click.command()
@with_settings
def purge(settings: Settings) -> None:
    """Take what was deleted, and what entries said before, off the disk too.

    Rewrites the tables of the embedded database; servers go on, and wait for each meanwhile.
    """
    with errors_told():
        require_embedded(settings)
        purge_disk(settings)
    click.echo("purged")


def require_embedded(settings: Settings) -> None:
    """Makes sure that there is a database whose files are ours.

    Raises:
        InvalidArgumentError: there is none.
    """
    if settings.database_url is not None:
        raise InvalidArgumentError(
            "Only the embedded database can be purged from here. On a PostgreSQL server, its "
            "administrator runs `vacuum full` in this database, then `checkpoint`."
        )
    require_database(settings)


def purge_disk(settings: Settings) -> None:
    """Purges the embedded database, which is started for it where it does not run. Blocks.

    Raises:
        UnavailableError: it does not start or answer, or a table is in use.
    """
    anyio.run(_purge, settings)


async def _purge(settings: Settings) -> None:
    async with open_postgres(settings) as url:
        await purging.purge(url)
