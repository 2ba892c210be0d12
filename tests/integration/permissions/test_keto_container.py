"""The published image of the present Keto, beyond the v0.13 that other tests run against."""

from pathlib import Path
from uuid import UUID

import pytest

from diary_mcp.domain.fields import AgentName, EntryId, Grantee, GroupName
from diary_mcp.domain.relations import owner_tuple, viewer_tuple
from diary_mcp.permissions.keto import open_keto
from support.keto_config import PATIENCE_S
from support.keto_container import keto_container

pytestmark = [pytest.mark.anyio, pytest.mark.docker]


async def test_the_present_keto_answers_as_ours_does(tmp_path: Path) -> None:
    ann, bob = AgentName("ann"), AgentName("bob")
    entries = [EntryId(UUID(int=number)) for number in range(1, 16)]
    with keto_container(tmp_path) as address:
        async with open_keto(address.read_url, address.write_url, timeout_s=PATIENCE_S) as keto:
            await keto.check_ready()
            await keto.add(GroupName("team"), Grantee("bob"))
            await keto.patch(
                insert=[
                    *(owner_tuple(each, ann) for each in entries),
                    viewer_tuple(entries[0], Grantee("group:team")),
                ],
                delete=(),
            )

            assert await keto.check_view(ann, entries) == set(entries)
            assert await keto.check_view(bob, entries) == {entries[0]}
            assert await keto.list_groups(bob) == {"team"}
