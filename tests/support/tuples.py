"""Short words for tuples, and for what tests ask about them."""

from uuid import UUID

from diary_mcp.app import PermissionBackend
from diary_mcp.domain.fields import AgentName, EntryId, Grantee
from diary_mcp.domain.relations import RelationTuple, SubjectSet

ANN = AgentName("ann")
BOB = AgentName("bob")
CAT = AgentName("cat")


def entry(number: int) -> EntryId:
    return EntryId(UUID(int=number))


def agent(name: str) -> Grantee:
    return Grantee(name)


def group(name: str) -> Grantee:
    return Grantee(f"group:{name}")


def members_of(name: str, relation: str = "member") -> SubjectSet:
    return SubjectSet("Group", name, relation)


async def insert(permissions: PermissionBackend, *tuples: RelationTuple) -> None:
    await permissions.patch(insert=tuples, delete=())


async def scan(permissions: PermissionBackend) -> list[RelationTuple]:
    return [each async for page in permissions.scan_tuples() for each in page]


async def may_view(permissions: PermissionBackend, name: AgentName) -> bool:
    return await permissions.check_view(name, [entry(1)]) == {entry(1)}
