"""The permission backend that needs no server: the rules of `diary.opl.ts` over our own tables."""

from collections.abc import AsyncIterator, Collection, Generator, Sequence
from contextlib import contextmanager
from typing import Final, Protocol

from diary_mcp.domain.errors import DatabaseUnavailableError, PermissionBackendUnavailableError
from diary_mcp.domain.fields import AgentName, DiaryId, EntryId, Grantee, GroupName
from diary_mcp.domain.relations import (
    Grant,
    Membership,
    RelationTuple,
    Rule,
    SubjectSet,
    group_of,
    member_tuple,
    subject_of,
)
from diary_mcp.permissions.embedded_rules import (
    GROUP_MEMBERSHIP,
    VIEW_DIARY,
    VIEW_ENTRY,
    WRITE_DIARY,
)
from diary_mcp.permissions.groups import as_subject_set, members_in, require_shallow
from diary_mcp.permissions.tuple_shapes import (
    DIARY,
    ENTRY,
    GROUP_MEMBER,
    MAX_GROUP_DEPTH,
    is_usable_name,
    require_deletable,
    require_insertable,
)

_OBJECTS_A_PAGE = 500


class TupleStore(Protocol):
    """Relation tuples in a table; every question is answered from one snapshot.

    Raises (every method):
        DatabaseUnavailableError: no answer in time.
    """

    async def list_granted(
        self, grant: Grant, subject: str, objects: Collection[str], *, max_depth: int
    ) -> list[str]: ...

    async def list_memberships(
        self, held: Membership, rules: Collection[Rule], subject: str, *, max_depth: int
    ) -> list[str]: ...

    async def list_containing(self, holder: Membership, subjects: SubjectSet) -> list[str]: ...

    async def list_held(self, namespace: str, subject: str | SubjectSet) -> list[RelationTuple]: ...

    async def list_tuples(
        self, namespace: str, objects: Collection[str]
    ) -> list[RelationTuple]: ...

    async def list_next_tuples(
        self, namespace: str, after: str | None, limit: int
    ) -> list[RelationTuple]: ...

    async def patch(
        self, *, insert: Collection[RelationTuple], delete: Collection[RelationTuple]
    ) -> int: ...


class EmbeddedPermissions:
    """`PermissionReader`, `PermissionWriter` and `GroupMembers` over a `TupleStore`.

    Chains of groups longer than two do not count, and cycles of groups end.
    """

    name: Final = "embedded"

    def __init__(self, tuples: TupleStore) -> None:
        self._tuples = tuples

    async def check_ready(self) -> None:
        """Asks for nothing, to see whether an answer comes.

        Raises:
            PermissionBackendUnavailableError: none came.
        """
        with _unavailability_told():
            await self._tuples.list_tuples(ENTRY, ())

    async def reads_deep_enough(self) -> bool:
        """Always: the depth is a constant of this program."""
        return True

    async def check_view(self, agent: AgentName, entry_ids: Collection[EntryId]) -> set[EntryId]:
        asked = {str(entry_id): entry_id for entry_id in entry_ids}
        return {asked[granted] for granted in await self._check(VIEW_ENTRY, agent, asked.keys())}

    async def check_diaries(
        self, agent: AgentName, diary_ids: Collection[DiaryId], *, to_write: bool = False
    ) -> set[DiaryId]:
        asked = {str(diary_id): diary_id for diary_id in diary_ids}
        grant = WRITE_DIARY if to_write else VIEW_DIARY
        return {asked[granted] for granted in await self._check(grant, agent, asked.keys())}

    async def _check(self, grant: Grant, agent: AgentName, objects: Collection[str]) -> list[str]:
        if not objects or not is_usable_name(agent):
            return []
        with _unavailability_told():
            return await self._tuples.list_granted(grant, agent, objects, max_depth=MAX_GROUP_DEPTH)

    async def list_groups(self, agent: AgentName) -> set[GroupName]:
        if not is_usable_name(agent):
            return set()
        with _unavailability_told():
            groups = await self._tuples.list_memberships(
                GROUP_MEMBER, GROUP_MEMBERSHIP, agent, max_depth=MAX_GROUP_DEPTH
            )
        return {GroupName(group) for group in groups}

    async def list_entry_tuples(self, entry_ids: Collection[EntryId]) -> set[RelationTuple]:
        with _unavailability_told():
            return set(await self._tuples.list_tuples(ENTRY, [str(each) for each in entry_ids]))

    async def list_diary_tuples(self, diary_ids: Collection[DiaryId]) -> set[RelationTuple]:
        with _unavailability_told():
            return set(await self._tuples.list_tuples(DIARY, [str(each) for each in diary_ids]))

    async def list_group_tuples(self, grantee: Grantee) -> set[RelationTuple]:
        group = group_of(grantee)
        with _unavailability_told():
            held = await self._tuples.list_held(GROUP_MEMBER.namespace, subject_of(grantee))
            on_it = (
                []
                if group is None
                else await self._tuples.list_tuples(GROUP_MEMBER.namespace, [group])
            )
        return {*held, *on_it}

    async def patch(
        self, *, insert: Collection[RelationTuple], delete: Collection[RelationTuple]
    ) -> None:
        await self._patch(insert=insert, delete=delete)

    async def scan_tuples(self) -> AsyncIterator[Sequence[RelationTuple]]:
        for namespace in (ENTRY, DIARY):
            after: str | None = None
            while True:
                with _unavailability_told():
                    page = await self._tuples.list_next_tuples(namespace, after, _OBJECTS_A_PAGE)
                if not page:
                    break
                yield page
                after = page[-1].object

    async def add(self, group: GroupName, member: Grantee) -> None:
        wanted = [member_tuple(group, member)]
        require_insertable(wanted)
        await require_shallow(group, member, self)
        await self._patch(insert=wanted, delete=())

    async def remove(self, group: GroupName, member: Grantee) -> bool:
        return await self._patch(insert=(), delete=[member_tuple(group, member)]) > 0

    async def list_members(self, group: GroupName) -> list[Grantee]:
        with _unavailability_told():
            return members_in(await self._tuples.list_tuples(GROUP_MEMBER.namespace, [group]))

    async def list_containing(self, group: GroupName) -> set[GroupName]:
        """Groups that `group` is a direct member of."""
        with _unavailability_told():
            groups = await self._tuples.list_containing(GROUP_MEMBER, as_subject_set(group))
        return {GroupName(containing) for containing in groups}

    async def _patch(
        self, *, insert: Collection[RelationTuple], delete: Collection[RelationTuple]
    ) -> int:
        require_insertable(insert)
        require_deletable(delete)
        with _unavailability_told():
            return await self._tuples.patch(insert=insert, delete=delete)


@contextmanager
def _unavailability_told() -> Generator[None]:
    try:
        yield
    except DatabaseUnavailableError as error:
        raise PermissionBackendUnavailableError(str(error)) from error
