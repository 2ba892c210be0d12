"""The embedded database is served by a role that owns nothing, and so can be one of one's own."""

from collections.abc import AsyncGenerator
from pathlib import Path

import psycopg
import pytest

from diary_mcp.app import (
    Foundation,
    count_rows_adrift,
    open_foundation,
    repair_rows_adrift,
    run_workflows,
)
from diary_mcp.commands.status import look_at
from diary_mcp.domain.entry import EntryDraft
from diary_mcp.domain.errors import DatabaseUnavailableError
from diary_mcp.domain.fields import AgentName, Grantee
from diary_mcp.opening import open_postgres
from diary_mcp.postgres.sockets import as_serving_role
from diary_mcp.settings import Settings
from diary_mcp.store.database import WaitLimits, open_database
from diary_mcp.store.housekeeping import PostgresHousekeeping
from diary_mcp.store.serving_role import list_excess
from support.ground_truth import ask, check_promise, is_settled
from support.workflows import eventually

pytestmark = pytest.mark.anyio
pytest_plugins = ["support.postgres_fixtures"]

ALICE, BOB = AgentName("alice"), AgentName("bob")


@pytest.fixture
async def owner_url(data_dir: Path) -> AsyncGenerator[str]:
    """Keeps the server running, so that it is started once."""
    async with open_postgres(Settings(data_dir=data_dir)) as url:
        yield url


async def use_everything(foundation: Foundation) -> None:
    diary = foundation.diary
    async with run_workflows(foundation):
        await diary.agents.register(BOB)
        entry = await diary.entries.create(ALICE, EntryDraft(content="What happened."))
        await diary.sharing.share(ALICE, str(entry.id), Grantee(BOB))
        await diary.diaries.open(ALICE, "work")
        await diary.diaries.remove(ALICE, "work")
        await foundation.tokens.issue(BOB)

        async def has_run() -> bool:
            return is_settled(foundation.database_url)

        await eventually(has_run)
        assert await diary.entries.get(BOB, str(entry.id))
        await diary.entries.delete(ALICE, str(entry.id))
        await foundation.removals.remove_agent(BOB)
        await eventually(has_run)
    await PostgresHousekeeping(foundation.settling_database).tidy()
    assert (await count_rows_adrift(foundation)).total == 0
    await repair_rows_adrift(foundation)


async def test_whoever_serves_owns_nothing_and_changes_no_trail(
    data_dir: Path, owner_url: str
) -> None:
    async with open_foundation(Settings(data_dir=data_dir)) as foundation:
        url = foundation.database_url
        await use_everything(foundation)

    assert ask(url, "select current_user::text") == [("diary_server",)]
    assert await list_excess(url) == []
    check_promise(owner_url)
    for attack in (
        "delete from diary.audit_event",
        "update diary.audit_event set agent = 'eve'",
        "truncate diary.audit_event",
        "drop table diary.entry",
        "alter table diary.share disable trigger all",
        "create function diary.harmless() returns boolean language sql return true",
        "insert into public.diary_migration (name, sha256) values ('9999.sql', '')",
        "copy diary.entry to program 'id'",
        "select pg_read_file('postgresql.conf')",
        "set role diary",
        "alter role diary_server superuser",
        "set session_replication_role = replica",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            ask(url, attack)


async def test_a_database_of_an_older_version_is_served_so_from_its_next_start_on(
    data_dir: Path, owner_url: str
) -> None:
    settings = Settings(data_dir=data_dir)
    async with open_foundation(settings):
        pass
    ask(owner_url, "drop owned by diary_server")
    ask(owner_url, "drop role diary_server")
    (data_dir / "postgres" / "pg_ident.conf").write_text("owner root diary\n")
    ask(owner_url, "select pg_reload_conf()")

    async with open_foundation(settings) as foundation:
        assert await foundation.diary.entries.create(ALICE, EntryDraft(content="As before."))


async def test_what_a_role_of_ones_own_lacks_is_named_and_what_it_has_too_much(
    data_dir: Path, owner_url: str
) -> None:
    async with open_foundation(Settings(data_dir=data_dir)):
        pass
    own = Settings(data_dir=data_dir, database_url=as_serving_role(owner_url))
    assert (await look_at(own)).excess_rights == []
    ask(owner_url, "revoke insert on diary.entry, dbos.workflow_status from diary_server")

    report = await look_at(own)
    with pytest.raises(
        DatabaseUnavailableError, match=r"lacks insert on dbos\.workflow_status, ins"
    ):
        async with open_foundation(own):
            pass
    ask(owner_url, "revoke all on public.diary_migration from diary_server")
    with pytest.raises(DatabaseUnavailableError, match=r"may not read public\.diary_migration"):
        async with open_foundation(own):
            pass

    assert "diary.let_serve('diary_server')" in report.problems[0]
    ask(owner_url, "select diary.let_serve('diary_server')")
    async with open_foundation(own) as foundation:
        assert await foundation.diary.entries.create(ALICE, EntryDraft(content="Now."))
    owning = Settings(data_dir=data_dir, database_url=owner_url)
    assert (await look_at(owning)).excess_rights == [
        "changes or removes lines of the audit trail",
        "is a superuser",
        "owns tables of the schema dbos",
        "owns tables of the schema diary",
    ]


async def test_whoever_gets_no_connection_is_told_what_of_and_what_helps(
    data_dir: Path, owner_url: str
) -> None:
    settings, url = Settings(data_dir=data_dir), as_serving_role(owner_url)
    async with open_foundation(settings):
        pass
    ask(owner_url, "alter role diary_server connection limit 1")

    async def are_sessions_over() -> bool:
        return not ask(owner_url, "select from pg_stat_activity where usename = 'diary_server'")

    # One counts until its process has ended.
    await eventually(are_sessions_over)
    told = r"no connection left .*too many connections for role.* raise the limit"

    waits = WaitLimits(silence_s=0.5)
    async with open_database(url, max_size=2, waits=waits) as database, database.connection():
        with pytest.raises(DatabaseUnavailableError, match=told):
            await database.check()
        with pytest.raises(DatabaseUnavailableError, match=told):
            async with open_foundation(settings):
                pass
        report = await look_at(settings)

    assert not report.ok
    assert "raise the limit" in " ".join(report.problems)
