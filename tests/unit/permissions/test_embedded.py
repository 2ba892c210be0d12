"""The embedded backend over a store of tuples that fails, or counts."""

from collections.abc import Awaitable, Callable, Collection
from uuid import UUID

import pytest

from diary_mcp.domain.errors import DatabaseUnavailableError, PermissionBackendUnavailableError
from diary_mcp.domain.fields import AgentName, EntryId, Grantee, GroupName
from diary_mcp.domain.relations import (
    Grant,
    Membership,
    RelationTuple,
    Rule,
    SubjectSet,
    owner_tuple,
)
from diary_mcp.permissions.embedded import EmbeddedPermissions

pytestmark = pytest.mark.anyio

ANN = AgentName("ann")
TEAM = GroupName("team")
ENTRY = EntryId(UUID(int=1))


class NoTuples:
    """A store without tuples; it keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def ask(self, question: str) -> None:
        self.asked.append(question)

    async def list_granted(
        self, grant: Grant, subject: str, objects: Collection[str], *, max_depth: int
    ) -> list[str]:
        self.ask(f"granted {len(grant.granting)} {subject} {len(objects)} {max_depth}")
        return []

    async def list_memberships(
        self, held: Membership, rules: Collection[Rule], subject: str, *, max_depth: int
    ) -> list[str]:
        self.ask(f"memberships {held} {rules} {subject} {max_depth}")
        return []

    async def list_containing(self, holder: Membership, subjects: SubjectSet) -> list[str]:
        self.ask(f"containing {holder} {subjects}")
        return []

    async def list_held(self, namespace: str, subject: str | SubjectSet) -> list[RelationTuple]:
        self.ask(f"held {namespace} {subject}")
        return []

    async def list_tuples(self, namespace: str, objects: Collection[str]) -> list[RelationTuple]:
        self.ask(f"tuples {namespace} {objects}")
        return []

    async def list_next_tuples(
        self, namespace: str, after: str | None, limit: int
    ) -> list[RelationTuple]:
        self.ask(f"next {namespace} {after} {limit}")
        return []

    async def patch(
        self, *, insert: Collection[RelationTuple], delete: Collection[RelationTuple]
    ) -> int:
        self.ask(f"patch {insert} {delete}")
        return 0


class Unreachable(NoTuples):
    def ask(self, question: str) -> None:
        raise DatabaseUnavailableError(question)


async def scan(permissions: EmbeddedPermissions) -> None:
    async for _ in permissions.scan_tuples():
        pass


ASK: dict[str, Callable[[EmbeddedPermissions], Awaitable[object]]] = {
    "check_ready": lambda backend: backend.check_ready(),
    "check_view": lambda backend: backend.check_view(ANN, [ENTRY]),
    "list_groups": lambda backend: backend.list_groups(ANN),
    "list_entry_tuples": lambda backend: backend.list_entry_tuples([ENTRY]),
    "list_group_tuples": lambda backend: backend.list_group_tuples(Grantee("group:crew")),
    "patch": lambda backend: backend.patch(insert=[owner_tuple(ENTRY, ANN)], delete=()),
    "scan_tuples": scan,
    "add": lambda backend: backend.add(TEAM, Grantee("ann")),
    "add a group": lambda backend: backend.add(TEAM, Grantee("group:crew")),
    "remove": lambda backend: backend.remove(TEAM, Grantee("ann")),
    "list_members": lambda backend: backend.list_members(TEAM),
    "list_containing": lambda backend: backend.list_containing(TEAM),
}


@pytest.mark.parametrize("ask", ASK.values(), ids=ASK)
async def test_an_unreachable_database_is_an_outage_of_the_permission_backend(
    ask: Callable[[EmbeddedPermissions], Awaitable[object]],
) -> None:
    permissions = EmbeddedPermissions(Unreachable())

    with pytest.raises(PermissionBackendUnavailableError):
        await ask(permissions)


async def test_a_page_of_entries_is_one_question() -> None:
    tuples = NoTuples()
    permissions = EmbeddedPermissions(tuples)

    await permissions.check_view(ANN, [EntryId(UUID(int=number)) for number in range(50)])

    assert tuples.asked == ["granted 3 ann 50 2"]
