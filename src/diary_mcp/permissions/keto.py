"""The permission backend on a real Ory Keto server, over its REST API (v0.13 to v26).

Denial is an answer. Whatever is no clear answer is an error: time-outs, 5xx, nonsense, a limit that
Keto reached. What Keto says about its errors is never passed on: it may name its database.
"""

import time
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Collection,
    Iterable,
    Mapping,
    Sequence,
)
from contextlib import asynccontextmanager
from functools import partial
from itertools import pairwise
from typing import Final
from uuid import UUID

import structlog

from diary_mcp.domain.errors import PermissionBackendUnavailableError
from diary_mcp.domain.fields import AgentName, DiaryId, EntryId, Grantee, GroupName
from diary_mcp.domain.relations import (
    RelationTuple,
    SubjectSet,
    group_of,
    member_tuple,
    subject_of,
)
from diary_mcp.permissions.concurrency import ask_all
from diary_mcp.permissions.groups import as_subject_set, members_in, require_shallow
from diary_mcp.permissions.keto_api import KetoApi, open_api
from diary_mcp.permissions.keto_wire import (
    Delta,
    TuplesPage,
    as_deltas,
    as_json,
    patch_refused,
    read_batch,
    read_check,
    read_namespaces,
    read_page,
    read_patch,
    read_success,
    subject_query,
)
from diary_mcp.permissions.tuple_shapes import (
    DIARY,
    ENTRY,
    GROUP_MEMBER,
    is_usable_name,
    require_deletable,
    require_insertable,
)

TIMEOUT_S = 2.0
NAMESPACES_GOOD_FOR_S = 30.0
# The default of `limit.max_batch_check_size`.
_CHECKS_A_BATCH = 10
_DELTAS_A_PATCH = 500
_TUPLES_A_PAGE = 500
_NAMESPACES = frozenset({"Agent", "Group", DIARY, ENTRY})

_log = structlog.get_logger()


@asynccontextmanager
async def open_keto(
    read_url: str, write_url: str, *, timeout_s: float = TIMEOUT_S, identity: UUID | None = None
) -> AsyncGenerator["KetoPermissions"]:
    """Connections to one Keto server for as long as the block runs; connects at first use.

    `timeout_s` bounds every question as a whole, and every request of a write; connecting may take
    a quarter of it. With the diary's `identity`, a Keto that belongs to another one is refused, and
    one that belongs to nobody is taken.
    """
    async with (
        open_api("read", read_url, timeout_s) as reading,
        open_api("write", write_url, timeout_s) as writing,
    ):
        yield KetoPermissions(reading, writing, identity)


class KetoPermissions:
    """`PermissionReader`, `PermissionWriter` and `GroupMembers` on an Ory Keto server.

    What a caller waits for takes 2 s at most, however many requests it needs; what only workflows
    and commands ask takes 2 s a request.
    """

    name: Final = "keto"

    def __init__(self, reading: KetoApi, writing: KetoApi, identity: UUID | None = None) -> None:
        self._reading = reading
        self._writing = writing
        self._mark = None if identity is None else _owned_by(identity)
        self._namespaces_good_until = 0.0
        self._has_batches = True

    async def check_ready(self) -> None:
        """Asks both APIs, and through the read API Keto's database.

        Raises:
            PermissionBackendUnavailableError: one of them does not answer, or Keto runs without
                our namespaces.
        """
        with self._reading.in_time():
            self._namespaces_good_until = 0.0
            await self._require_namespaces()
            await self._ask_page({"namespace": ENTRY}, {"page_size": "1"})
            await self._writing.ask("GET", "/health/alive", read_success)

    async def reads_deep_enough(self) -> bool:
        """Whether `limit.max_read_depth` lets members of a group in a group see a diary's entries.

        Keto tells nobody its settings, and what lies deeper it denies without a word: so it is
        asked about a chain of groups of our own, as long as that, which is written where it is
        missing.

        Raises:
            PermissionBackendUnavailableError: no usable answer.
        """
        await self._require_namespaces()
        asked = _PROBE[0]._replace(subject=_PROBE[-1].subject)
        if await self._check_one(asked):
            return True
        groups = [GroupName(each.object) for each in _PROBE]
        present = set[RelationTuple]().union(*await ask_all(self._list_group_tuples, groups))
        missing = [each for each in _PROBE if each not in present]
        if not missing:
            return False
        await self._patch(as_deltas(missing, ()))
        return bool(await self._check_one(asked))

    async def check_view(self, agent: AgentName, entry_ids: Collection[EntryId]) -> set[EntryId]:
        asked = {
            RelationTuple(ENTRY, str(entry_id), "view", agent): entry_id for entry_id in entry_ids
        }
        return {asked[allowed] for allowed in await self._check(agent, list(asked))}

    async def check_diaries(
        self, agent: AgentName, diary_ids: Collection[DiaryId], *, to_write: bool = False
    ) -> set[DiaryId]:
        permit = "write" if to_write else "view"
        asked = {
            RelationTuple(DIARY, str(diary_id), permit, agent): diary_id for diary_id in diary_ids
        }
        return {asked[allowed] for allowed in await self._check(agent, list(asked))}

    async def _check(self, agent: AgentName, asked: Sequence[RelationTuple]) -> set[RelationTuple]:
        """Those of the permits that Keto grants."""
        if not asked or not is_usable_name(agent):
            return set()
        with self._reading.in_time():
            await self._require_namespaces()
            batches = [
                asked[start : start + _CHECKS_A_BATCH]
                for start in range(0, len(asked), _CHECKS_A_BATCH)
            ]
            allowed = await ask_all(self._check_batch, batches)
        return set[RelationTuple]().union(*allowed)

    async def list_groups(self, agent: AgentName) -> set[GroupName]:
        if not is_usable_name(agent):
            return set()
        with self._reading.in_time():
            await self._require_namespaces()
            direct = await self._list_groups_of(agent)
            containing = await ask_all(self.list_containing, direct)
        return direct.union(*containing)

    async def list_entry_tuples(self, entry_ids: Collection[EntryId]) -> set[RelationTuple]:
        return await self._list_tuples_of(ENTRY, map(str, entry_ids))

    async def list_diary_tuples(self, diary_ids: Collection[DiaryId]) -> set[RelationTuple]:
        return await self._list_tuples_of(DIARY, map(str, diary_ids))

    async def list_group_tuples(self, grantee: Grantee) -> set[RelationTuple]:
        await self._require_namespaces()
        subject, group = subject_query(subject_of(grantee)), group_of(grantee)
        held = await self._list_tuples({"namespace": GROUP_MEMBER.namespace, **subject})
        return held if group is None else held | await self._list_group_tuples(group)

    async def _list_tuples_of(self, namespace: str, objects: Iterable[str]) -> set[RelationTuple]:
        await self._require_namespaces()

        async def list_one(name: str) -> set[RelationTuple]:
            return await self._list_tuples({"namespace": namespace, "object": name})

        return set[RelationTuple]().union(*await ask_all(list_one, objects))

    async def patch(
        self, *, insert: Collection[RelationTuple], delete: Collection[RelationTuple]
    ) -> None:
        """Atomic up to 500 tuples; beyond, Keto may keep a part, and a repetition completes it."""
        require_insertable(insert)
        require_deletable(delete)
        await self._require_namespaces()
        deltas = as_deltas(insert, delete)
        for start in range(0, len(deltas), _DELTAS_A_PATCH):
            await self._patch(deltas[start : start + _DELTAS_A_PATCH])

    async def scan_tuples(self) -> AsyncIterator[Sequence[RelationTuple]]:
        await self._require_namespaces()
        for namespace in (ENTRY, DIARY):
            async for page in self._pages({"namespace": namespace}):
                if page:
                    yield page

    async def add(self, group: GroupName, member: Grantee) -> None:
        wanted = member_tuple(group, member)
        require_insertable([wanted])
        await self._require_namespaces()
        await require_shallow(group, member, self)
        # Keto would store a second copy.
        if wanted not in await self._list_group_tuples(group):
            await self.patch(insert=[wanted], delete=())

    async def remove(self, group: GroupName, member: Grantee) -> bool:
        unwanted = member_tuple(group, member)
        require_deletable([unwanted])
        await self._require_namespaces()
        if unwanted not in await self._list_group_tuples(group):
            return False
        await self.patch(insert=(), delete=[unwanted])
        return True

    async def list_members(self, group: GroupName) -> list[Grantee]:
        await self._require_namespaces()
        return members_in(await self._list_group_tuples(group))

    async def list_containing(self, group: GroupName) -> set[GroupName]:
        """Groups that `group` is a direct member of."""
        return await self._list_groups_of(as_subject_set(group))

    async def _require_namespaces(self) -> None:
        # Keto starts, and calls itself ready, with a missing or broken OPL file; it then denies
        # every check without an error.
        if time.monotonic() < self._namespaces_good_until:
            return
        missing = _NAMESPACES - await self._reading.ask("GET", "/namespaces", read_namespaces)
        if missing:
            raise PermissionBackendUnavailableError(
                f"Ory Keto runs without the namespaces {', '.join(sorted(missing))}. Its "
                "administrator must start it with permissions/diary.opl.ts (docs/permissions.md)."
            )
        if self._mark is not None:
            await self._require_own(self._mark)
        self._namespaces_good_until = time.monotonic() + NAMESPACES_GOOD_FOR_S

    async def _require_own(self, mark: RelationTuple) -> None:
        """Two diaries would take each other's tuples for stray, and share the names of groups."""
        query = {"namespace": mark.namespace, "object": mark.object, "relation": mark.relation}
        marks = await self._list_tuples(query)
        if not marks:
            await self._patch(as_deltas([mark], ()))
            marks = await self._list_tuples(query)
        # Of two that came at once, the same one is right to both.
        if mark != min(marks, key=lambda each: str(each.subject), default=mark):
            raise PermissionBackendUnavailableError(
                "This Ory Keto belongs to another diary, whose relations would be taken for stray. "
                "Give each diary a Keto of its own. If that other one is gone for good, "
                "docs/permissions.md says how to take its Keto over."
            )

    async def _check_batch(self, asked: Sequence[RelationTuple]) -> set[RelationTuple]:
        answers = await self._ask_batch(asked) if len(asked) > 1 else None
        if answers is None:
            answers = [None] * len(asked)
        allowed = {each for each, answer in zip(asked, answers, strict=True) if answer}
        unanswered = [each for each, answer in zip(asked, answers, strict=True) if answer is None]
        return allowed.union(*await ask_all(self._check_one, unanswered))

    async def _ask_batch(self, asked: Sequence[RelationTuple]) -> Sequence[bool | None] | None:
        if not self._has_batches:
            return None
        answers = await self._reading.ask(
            "POST",
            "/relation-tuples/batch/check",
            partial(read_batch, len(asked)),
            body={"tuples": list(map(as_json, asked))},
        )
        self._has_batches = answers is not None
        return answers

    async def _check_one(self, asked: RelationTuple) -> set[RelationTuple]:
        allowed = await self._reading.ask(
            "POST", "/relation-tuples/check/openapi", read_check, body=as_json(asked)
        )
        if allowed is None:
            _log.warning("keto.object_has_broken_tuples", object=asked.object)
        return {asked} if allowed else set()

    async def _list_groups_of(self, subject: str | SubjectSet) -> set[GroupName]:
        members = {"namespace": GROUP_MEMBER.namespace, "relation": GROUP_MEMBER.relation}
        held = await self._list_tuples({**members, **subject_query(subject)})
        return {GroupName(each.object) for each in held}

    async def _list_group_tuples(self, group: GroupName) -> set[RelationTuple]:
        return await self._list_tuples({"namespace": GROUP_MEMBER.namespace, "object": group})

    async def _list_tuples(self, query: Mapping[str, str]) -> set[RelationTuple]:
        return {each async for page in self._pages(query) for each in page}

    async def _pages(self, query: Mapping[str, str]) -> AsyncIterator[list[RelationTuple]]:
        page = await self._ask_page(query, {"page_size": str(_TUPLES_A_PAGE)})
        yield page.tuples
        while page.next_page_token:
            position = {"page_size": str(_TUPLES_A_PAGE), "page_token": page.next_page_token}
            page = await self._ask_page(query, position)
            yield page.tuples

    async def _ask_page(self, query: Mapping[str, str], position: Mapping[str, str]) -> TuplesPage:
        return await self._reading.ask(
            "GET", "/relation-tuples", partial(read_page, query), params={**query, **position}
        )

    async def _patch(self, deltas: Sequence[Delta]) -> None:
        applied = await self._writing.ask(
            "PATCH", "/admin/relation-tuples", read_patch, body=deltas
        )
        if not applied:
            self._namespaces_good_until = 0.0
            await self._require_namespaces()
            raise patch_refused(404)


def _probe() -> Sequence[RelationTuple]:
    """A chain of groups that is as deep as an entry, its diary, a group and a group in it.

    No group is called that, and no agent.
    """
    names = [GroupName(f"diary:depth-{level}") for level in range(1, 6)]
    nested = [
        RelationTuple(GROUP_MEMBER.namespace, outer, GROUP_MEMBER.relation, as_subject_set(inner))
        for outer, inner in pairwise(names)
    ]
    return [*nested, member_tuple(names[-1], Grantee("diary:depth"))]


_PROBE: Final = _probe()


def _owned_by(identity: UUID) -> RelationTuple:
    """Says whose Keto this is; no group is called that, and no agent."""
    return RelationTuple(GROUP_MEMBER.namespace, "diary:owner", "manager", f"diary:{identity.hex}")
