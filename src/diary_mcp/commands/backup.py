"""`diary-mcp backup` and `restore`: a whole diary in one file."""

import tempfile
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import anyio
import anyio.to_thread
import click

from diary_mcp.app import open_foundation
from diary_mcp.commands.options import errors_told, require_database, with_settings
from diary_mcp.domain.errors import ConflictError, InvalidArgumentError, UnavailableError
from diary_mcp.domain.fields import counted
from diary_mcp.files.backup_file import (
    DUMP,
    copy_keys,
    find_other_key,
    opened_backup,
    put_keys,
    write_backup,
)
from diary_mcp.opening import open_postgres
from diary_mcp.postgres.dump import check_dump, dump_database, restore_dump
from diary_mcp.settings import Settings
from diary_mcp.store.migrations import is_database_empty


@click.command()
@with_settings
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
def backup(settings: Settings, *, file: Path) -> None:
    """Write the whole diary, of all agents, with the keys of this machine, into FILE.

    Servers go on meanwhile. The file holds private keys: keep it as you keep those.
    """
    with errors_told():
        _back_up(settings, file)
    click.echo(f"wrote {file}, {file.stat().st_size:,} bytes, and checked it")


@click.command()
@with_settings
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
def restore(settings: Settings, *, file: Path) -> None:
    """Put FILE, which `backup` wrote, into an empty data directory or database."""
    with errors_told():
        entries = anyio.run(_restore, settings, file)
    click.echo(f"restored; {settings.agent} has {counted(entries, 'entry', 'entries')}")
    if settings.keto_urls is not None:
        click.echo("Now run `diary-mcp reconcile`: Keto has tuples of its own.", err=True)


def _back_up(settings: Settings, file: Path) -> None:
    require_database(settings)
    if file.exists():
        raise InvalidArgumentError(f"{file} exists already. Name another file.")
    try:
        anyio.run(_write, settings, file.absolute())
    except OSError as error:
        raise UnavailableError(f"{file} cannot be written: {error.strerror or error}.") from error
    try:
        with opened_backup(file) as (_, unpacked):
            check_dump(unpacked / DUMP)
    except InvalidArgumentError:
        file.unlink(missing_ok=True)
        raise


async def _write(settings: Settings, file: Path) -> None:
    with tempfile.TemporaryDirectory(prefix=".diary-mcp-", dir=file.parent) as name:
        folder = Path(name)
        copy_keys(settings.data_dir, folder)
        async with open_postgres(settings) as url:
            await anyio.to_thread.run_sync(dump_database, url, folder / DUMP)
        write_backup(
            file,
            folder,
            version=version("diary-mcp"),
            made_at=datetime.now(UTC),
            settings={"agent": settings.agent, "signing": settings.signing},
        )


async def _restore(settings: Settings, file: Path) -> int:
    with opened_backup(file) as (_, folder):
        await anyio.to_thread.run_sync(check_dump, folder / DUMP)
        other = find_other_key(folder, settings.data_dir)
        if other is not None:
            raise ConflictError(
                f"{other} is another key than the one in the backup. Move it away, or choose an "
                "empty folder with --data-dir."
            )
        async with open_postgres(settings) as url:
            if not await is_database_empty(url):
                raise ConflictError(
                    "There is a diary already. Restore into an empty folder, with --data-dir, or "
                    "an empty database, with --database-url."
                )
            await anyio.to_thread.run_sync(restore_dump, url, folder / DUMP)
        put_keys(folder, settings.data_dir)
    async with open_foundation(settings) as foundation:
        return (await foundation.diary.listing.whoami(settings.agent)).counts["entries"]
