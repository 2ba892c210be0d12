"""The Keto client and a real server that comes, goes, and loses its rules or its database."""

import os
from collections.abc import Generator
from pathlib import Path
from uuid import UUID, uuid4

import anyio
import httpx
import psycopg
import pytest

from diary_mcp.domain.errors import PermissionBackendUnavailableError
from diary_mcp.domain.fields import AgentName, DiaryId, EntryId, Grantee, GroupName
from diary_mcp.domain.relations import diary_tuple, member_tuple, owner_tuple, parent_tuple
from diary_mcp.package_data import resource_path
from diary_mcp.permissions.keto import KetoPermissions, open_keto
from support.keto_config import PATIENCE_S
from support.keto_process import KetoServer, keto_binary, keto_server
from support.paths import ROOT

pytestmark = [pytest.mark.anyio, pytest.mark.xdist_group("keto")]

ANN = AgentName("ann")
ENTRY = EntryId(UUID(int=1))


@pytest.fixture
def server(database_url: str, tmp_path: Path) -> Generator[KetoServer]:
    with keto_server(database_url, tmp_path) as running:
        yield running


async def own(keto: KetoPermissions) -> None:
    await keto.patch(insert=[owner_tuple(ENTRY, ANN)], delete=())


async def test_keto_finds_no_fault_in_our_rules(server: KetoServer) -> None:
    rules = (resource_path("opl") / "diary.opl.ts").read_bytes()

    async with httpx.AsyncClient(verify=False) as client:
        answer = await client.post(f"{server.opl_url}/opl/syntax/check", content=rules)

    assert (answer.status_code, answer.json()) == (200, {})


async def test_keto_takes_the_configuration_of_the_deployment(server: KetoServer) -> None:
    config = ROOT / "deploy" / "keto.yml"
    rules = f"file://{resource_path('opl') / 'diary.opl.ts'}"

    done = await anyio.run_process(
        [str(keto_binary()), "migrate", "status", "-c", str(config)],
        env={**os.environ, "DSN": server.dsn, "NAMESPACES_LOCATION": rules},
        check=False,
    )

    # A key that Keto does not know is an error, and so is a value of the wrong type.
    assert done.returncode == 0, done.stderr


async def test_a_server_that_starts_late_is_used_as_soon_as_it_is_there(
    server: KetoServer,
) -> None:
    server.stop()

    async with open_keto(server.read_url, server.write_url, timeout_s=PATIENCE_S) as keto:
        with pytest.raises(PermissionBackendUnavailableError):
            await own(keto)
        server.start()
        await own(keto)
        assert await keto.check_view(ANN, [ENTRY]) == {ENTRY}


async def test_a_killed_and_restarted_server_has_lost_nothing(server: KetoServer) -> None:
    async with open_keto(server.read_url, server.write_url, timeout_s=PATIENCE_S) as keto:
        await own(keto)

        server.kill()
        with pytest.raises(PermissionBackendUnavailableError):
            await keto.check_view(ANN, [ENTRY])
        server.start()

        assert await keto.check_view(ANN, [ENTRY]) == {ENTRY}
        assert await keto.list_entry_tuples([ENTRY]) == {owner_tuple(ENTRY, ANN)}


async def test_a_server_whose_database_fails_denies_nobody(
    server: KetoServer, database_url: str
) -> None:
    async with (
        open_keto(server.read_url, server.write_url, timeout_s=PATIENCE_S) as keto,
        await psycopg.AsyncConnection.connect(database_url, autocommit=True) as administrator,
    ):
        await own(keto)
        await administrator.execute("alter schema keto rename to lost")

        for question in (
            keto.check_view(ANN, [ENTRY]),
            keto.list_groups(ANN),
            keto.check_ready(),
        ):
            with pytest.raises(PermissionBackendUnavailableError) as caught:
                await question
            assert "postgres:" not in str(caught.value)


@pytest.mark.parametrize(
    "rules", ["class Agent implements Namespace {}", "these are no rules"], ids=["few", "broken"]
)
async def test_a_server_without_our_rules_denies_nobody(
    database_url: str, tmp_path: Path, rules: str
) -> None:
    opl = tmp_path / "other.opl.ts"
    opl.write_text(rules)
    with keto_server(database_url, tmp_path, opl=opl) as server:
        async with open_keto(server.read_url, server.write_url, timeout_s=PATIENCE_S) as keto:
            with pytest.raises(PermissionBackendUnavailableError, match="DiaryEntry"):
                await keto.check_view(ANN, [ENTRY])
            with pytest.raises(PermissionBackendUnavailableError, match="DiaryEntry"):
                await own(keto)


async def test_a_keto_belongs_to_one_diary_and_another_touches_nothing_of_it(
    server: KetoServer,
) -> None:
    first, second = uuid4(), uuid4()
    urls = server.read_url, server.write_url
    async with (
        open_keto(*urls, timeout_s=PATIENCE_S, identity=first) as keto,
        open_keto(*urls, timeout_s=PATIENCE_S, identity=first) as copy,
        open_keto(*urls, timeout_s=PATIENCE_S, identity=second) as foreign,
    ):
        await own(keto)
        assert await copy.list_entry_tuples([ENTRY]) == {owner_tuple(ENTRY, ANN)}

        with pytest.raises(PermissionBackendUnavailableError, match="another diary"):
            await foreign.check_ready()
        with pytest.raises(PermissionBackendUnavailableError, match="another diary"):
            await foreign.patch(insert=(), delete=[owner_tuple(ENTRY, ANN)])
        with pytest.raises(PermissionBackendUnavailableError, match="another diary"):
            async for _ in foreign.scan_tuples():
                pass
        with pytest.raises(PermissionBackendUnavailableError, match="another diary"):
            await foreign.check_view(ANN, [ENTRY])

        assert [page async for page in keto.scan_tuples()] == [[owner_tuple(ENTRY, ANN)]]


async def test_a_limit_of_depth_that_hides_groups_in_groups_is_noticed(
    database_url: str, tmp_path: Path
) -> None:
    team, crew, bob = GroupName("team"), GroupName("crew"), AgentName("bob")
    diary = DiaryId(UUID(int=2))
    opened = [
        parent_tuple(ENTRY, diary),
        diary_tuple(diary, "writer", Grantee("group:team")),
        member_tuple(team, Grantee("group:crew")),
        member_tuple(crew, Grantee("bob")),
    ]
    seen: dict[int, tuple[bool, bool]] = {}

    for depth in (5, 4):
        settings = f"limit: {{max_read_depth: {depth}}}\n"
        with keto_server(database_url, tmp_path, settings=settings) as server:
            urls = server.read_url, server.write_url
            async with open_keto(*urls, timeout_s=PATIENCE_S) as keto:
                await keto.patch(insert=opened, delete=())
                is_enough = await keto.reads_deep_enough()
                seen[depth] = is_enough, await keto.check_view(bob, [ENTRY]) == {ENTRY}

    assert seen == {5: (True, True), 4: (False, False)}


async def test_of_two_diaries_that_come_at_once_one_has_the_keto(server: KetoServer) -> None:
    urls = server.read_url, server.write_url
    refused: list[PermissionBackendUnavailableError] = []

    async def come(keto: KetoPermissions) -> None:
        try:
            await keto.check_ready()
        except PermissionBackendUnavailableError as error:
            refused.append(error)

    async with (
        open_keto(*urls, timeout_s=PATIENCE_S, identity=uuid4()) as one,
        open_keto(*urls, timeout_s=PATIENCE_S, identity=uuid4()) as other,
    ):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(come, one)
            tasks.start_soon(come, other)
        # The first of them may not have seen the second; by now, both are there to be seen.
        refused.clear()
        await come(one)
        await come(other)

    assert len(refused) == 1
