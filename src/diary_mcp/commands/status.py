"""`diary-mcp status`."""

import sys
from datetime import timedelta
from importlib.metadata import version

import anyio
import click
from pydantic import BaseModel

from diary_mcp.app import Foundation, count_rows_adrift, open_foundation
from diary_mcp.commands.options import with_settings
from diary_mcp.commands.wording import for_terminal
from diary_mcp.domain.errors import UnavailableError
from diary_mcp.domain.fields import counted, printable_lines
from diary_mcp.opening import open_postgres
from diary_mcp.plugins.hook_state import HookState
from diary_mcp.postgres.cluster import has_cluster, require_place, system_errors_named
from diary_mcp.settings import Settings
from diary_mcp.store.migrations import pending_migrations
from diary_mcp.store.serving_role import list_excess
from diary_mcp.store.takeover import is_served
from diary_mcp.store.workflow_queue import count_refused_rows

_PENDING_IS_WELL = timedelta(minutes=1)


class Status(BaseModel):
    """What runs against what, and whether it agrees. A count is null where nobody could tell."""

    ok: bool = False
    version: str
    database: str
    permission_backend: str
    data_dir: str
    agent: str
    diary: str | None = None
    """The current one, if there is one."""
    entries: int | None = None
    """The agent's own."""
    pending_migrations: int | None = None
    pending: int | None = None
    failed: int | None = None
    drift: int | None = None
    refused_rows: int | None = None
    excess_rights: list[str] | None = None
    """What the database user can do beside serving."""
    hook_failures: int = 0
    problems: list[str] = []
    notes: list[str] = []
    """What is well for now, and has to be done all the same."""


@click.command()
@with_settings
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def status(settings: Settings, *, as_json: bool) -> None:
    """Show what is running against what; exit status 0 only if all is well."""
    report = anyio.run(look_at, settings)
    click.echo(report.model_dump_json(indent=2) if as_json else _as_text(report))
    sys.exit(0 if report.ok else 1)


async def look_at(settings: Settings, *, compares: bool = True) -> Status:
    """What runs against what, and whether all is well.

    Without `compares`, rows and permissions are not compared, which takes seconds in a large diary.
    """
    report = Status(
        version=version("diary-mcp"),
        database="embedded" if settings.database_url is None else "postgresql",
        permission_backend="embedded" if settings.keto_urls is None else "keto",
        data_dir=str(settings.data_dir),
        agent=settings.agent,
        diary=settings.current_diary,
    )
    try:
        with system_errors_named(settings.data_dir):
            _look_at_hooks(settings, report)
        if settings.database_url is None and not has_cluster(settings.data_dir):
            # Looking makes nothing: the first server, or the first command that needs it, will.
            require_place(settings.data_dir)
            report.entries = report.pending = report.failed = report.drift = report.refused_rows = 0
        else:
            await _look_at_database(settings, report, compares=compares)
    except UnavailableError as error:
        report.problems.append(for_terminal(str(error)))
    report.ok = not report.problems
    return report


async def _look_at_database(settings: Settings, report: Status, *, compares: bool) -> None:
    if settings.database_url is not None:
        report.pending_migrations = await _count_pending_migrations(settings)
    if report.pending_migrations:
        report.problems.append(
            "The database is not migrated: run `diary-mcp migrate`, or start a server."
        )
        return
    async with open_foundation(settings) as foundation:
        report.pending_migrations = 0
        report.excess_rights = await list_excess(foundation.database_url)
        whoami = await foundation.diary.listing.whoami(settings.agent)
        report.entries = whoami.counts["entries"]
        await _look_at_settlement(foundation, report)
        await _look_at_workflow_rows(foundation, report)
        if compares:
            await _look_at_drift(foundation, report)
        await _look_at_signing(foundation, settings, report)


def _look_at_hooks(settings: Settings, report: Status) -> None:
    failures = HookState(settings.data_dir).find_failures()
    if failures is not None:
        report.hook_failures = failures.count
        report.problems.append(
            f"Hooks of a client failed {counted(failures.count, 'time')} and have not "
            f"succeeded since: {failures.last}"
        )


async def _count_pending_migrations(settings: Settings) -> int:
    async with open_postgres(settings) as url:
        return len(await pending_migrations(url))


async def _look_at_settlement(foundation: Foundation, report: Status) -> None:
    backlog = await foundation.settlements.count_backlog()
    report.pending = backlog.pending
    report.failed = backlog.refused
    if backlog.refused:
        report.problems.append(
            "The permission backend refuses the relations of "
            f"{counted(backlog.refused, 'entry', 'entries')}; "
            "docs/operations.md says how to find out why."
        )
    is_overdue = backlog.longest_wait > _PENDING_IS_WELL
    if backlog.pending and not await is_served(foundation.database):
        (report.problems if is_overdue else report.notes).append(
            f"Not settled: {counted(backlog.pending, 'permission change')}, and no server runs "
            "that would settle what waits. Start one, or run `diary-mcp reconcile`."
        )
    elif is_overdue:
        minutes = max(1, round(backlog.longest_wait / timedelta(minutes=1)))
        report.problems.append(
            f"Not settled: {counted(backlog.pending, 'permission change')}; the oldest has "
            f"waited for {minutes} min. A running server settles what has waited for two minutes; "
            "where that does not help, `diary-mcp reconcile` settles it now, or says what is wrong."
        )

    if backlog.expiries:
        expired = counted(backlog.expiries, "share or role", "shares and roles")
        report.problems.append(
            f"Expired, and not yet removed from the permission backend: {expired}. Nobody reads by "
            "them any more; a server removes the rest as soon as it is started."
        )


async def _look_at_workflow_rows(foundation: Foundation, report: Status) -> None:
    report.refused_rows = await count_refused_rows(foundation.database)
    if report.refused_rows:
        report.problems.append(
            f"Not read, because not JSON: {counted(report.refused_rows, 'row')} of the workflows; "
            "somebody else wrote to the database. docs/operations.md says how to find them."
        )


async def _look_at_drift(foundation: Foundation, report: Status) -> None:
    await foundation.permissions.check_ready()
    if not await foundation.permissions.reads_deep_enough():
        report.problems.append(
            "Ory Keto looks less than 5 sets deep: it denies, without a word, what is open to a "
            "group in a group. Start it with `limit.max_read_depth: 5` or more."
        )
    drift = await count_rows_adrift(foundation)
    report.drift = drift.total
    if drift.total:
        report.problems.append(
            f"Relation tuples that disagree with the rows: {drift.missing} missing and "
            f"{drift.stray} stray; `diary-mcp reconcile` repairs them."
        )


async def _look_at_signing(foundation: Foundation, settings: Settings, report: Status) -> None:
    chain = await foundation.diary.signing.describe(settings.agent)
    if settings.signing == "on" and chain.problem is not None:
        report.problems.append(chain.problem)


def _as_text(report: Status) -> str:
    fields = report.model_dump(exclude={"problems", "notes"})
    if report.excess_rights is not None:
        fields["excess_rights"] = ", ".join(report.excess_rights) or "none"
    fields["diary"] = report.diary or "none"
    lines = [
        f"{name:<20} {'unknown' if value is None else value}" for name, value in fields.items()
    ]
    lines += [f"! {each}" for each in report.problems] + [f"- {each}" for each in report.notes]
    return printable_lines("\n".join(lines))
