"""`diary-mcp reconcile`."""

import anyio
import click

from diary_mcp.app import open_foundation, preview_repairs, repair_rows_adrift
from diary_mcp.commands.options import with_settings
from diary_mcp.domain.fields import counted, printable_lines
from diary_mcp.service.ports.settlement import DriftCounts, Grant
from diary_mcp.settings import Settings


@click.command()
@with_settings
@click.option("--dry-run", is_flag=True, help="Only report, and whom a repair would let in.")
def reconcile(settings: Settings, *, dry_run: bool) -> None:
    """Compare every row with the permission backend's tuples and repair what differs."""
    click.echo(anyio.run(_reconcile, settings, dry_run))


async def _reconcile(settings: Settings, dry_run: bool) -> str:  # noqa: FBT001  # anyio.run passes by position
    async with open_foundation(settings) as foundation:
        if dry_run:
            backlog = await foundation.settlements.count_backlog()
            waiting = backlog.pending + backlog.refused
            adrift = _tuples(await preview_repairs(foundation, _tell))
            return f"found {adrift}; {counted(waiting, 'waiting change')}"
        repairs = await repair_rows_adrift(foundation)
        settled = counted(repairs.settled, "waiting change")
        return f"repaired {_tuples(repairs.drift)}; settled {settled}"


def _tell(grant: Grant) -> None:
    action = "read" if grant.relation == "viewer" else "write in"
    kind = "entry" if grant.namespace == "DiaryEntry" else "diary"
    click.echo(printable_lines(f"would let {grant.grantee} {action} {kind} {grant.object}"))


def _tuples(drift: DriftCounts) -> str:
    return f"{drift.missing} missing and {drift.stray} stray relation tuples"
