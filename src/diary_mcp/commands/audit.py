"""`diary-mcp audit`: who shared what with whom, and who was given a token."""

from uuid import UUID

import anyio
import click

from diary_mcp.app import open_foundation
from diary_mcp.commands.options import with_settings
from diary_mcp.domain.fields import AgentName, EntryId
from diary_mcp.settings import Settings
from diary_mcp.store.audit import AuditEvent, list_audit_events


@click.command()
@with_settings
@click.option("--of", "name", metavar="NAME", help="Only what this agent did, or was given.")
@click.option("--entry", "entry_id", type=click.UUID, metavar="ID", help="Only of this entry.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=100, show_default=True)
def audit(settings: Settings, *, name: str | None, entry_id: UUID | None, limit: int) -> None:
    """Print the audit trail as JSON Lines, the latest event last."""

    async def read() -> list[AuditEvent]:
        async with open_foundation(settings) as foundation:
            return await list_audit_events(
                foundation.database,
                agent=None if name is None else AgentName(name),
                entry_id=None if entry_id is None else EntryId(entry_id),
                limit=limit,
            )

    for event in anyio.run(read):
        click.echo(event.model_dump_json(exclude_none=True))
