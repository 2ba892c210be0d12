"""Removing agents and groups, so that whoever has the name later inherits nothing."""

from collections.abc import Sequence

from diary_mcp.domain.errors import ConflictError, NotFoundError
from diary_mcp.domain.fields import AgentName, Grantee, GroupName, counted
from diary_mcp.domain.relations import GROUP_PREFIX, group_grantee, group_of
from diary_mcp.service.ports.agents import Holdings, Raised
from diary_mcp.service.ports.store import Store, UnitOfWork
from diary_mcp.service.ports.workflows import PermissionChange, PermissionWorkflow

_CHANGES_A_TRANSACTION = 500


class RemovalService:
    """Removes agents and groups; whatever permissions it changes, it changes as everybody does.

    What they were given is taken back some at a time, each time with its workflows. The last unit
    of work removes the name itself with `remove_grantee_relations`, which takes it out of every
    group; until that has settled, nobody can have the name again.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    async def remove_agent(self, name: AgentName, *, with_entries: bool = False) -> int:
        """Removes an agent; how many entries went with it.

        What was shared with it, its tokens, its signed chain and its memberships go; an empty
        `main` too. `with_entries` also deletes its entries and its diaries; what is deleted stays
        so where the agent then cannot be removed.

        Raises:
            ConflictError: it owns entries or diaries, or others have written into its diaries.
            NotFoundError: there is no such agent.
        """
        deleted = await self._delete_entries(name) if with_entries else 0
        is_removed = False
        while not is_removed:
            async with self._store.unit_of_work() as unit:
                await _hold(unit, Grantee(name))
                holdings = await unit.removals.list_holdings(name, with_diaries=not with_entries)
                if holdings.entries or holdings.diaries:
                    raise _conflict(name, holdings)
                is_removed = await _remove_if_left_with_little(unit, Grantee(name))
        return deleted

    async def remove_group(self, name: GroupName) -> None:
        """Removes a group; what was shared with it opens nothing from the commit on.

        Raises:
            NotFoundError: there is no such group.
        """
        is_removed = False
        while not is_removed:
            async with self._store.unit_of_work() as unit:
                await _hold(unit, group_grantee(name))
                is_removed = await _remove_if_left_with_little(unit, group_grantee(name))

    async def _delete_entries(self, name: AgentName) -> int:
        deleted = 0
        while True:
            async with self._store.unit_of_work() as unit:
                gone = await unit.removals.delete_entries(name, _CHANGES_A_TRANSACTION)
                await _enqueue(unit, "remove_entry_relations", gone)
            deleted += len(gone)
            if len(gone) < _CHANGES_A_TRANSACTION:
                return deleted


async def _hold(unit: UnitOfWork, grantee: Grantee) -> None:
    if not await unit.removals.hold(grantee):
        kind = "agent" if group_of(grantee) is None else "group"
        raise NotFoundError(
            f"There is no {kind} {grantee.removeprefix(GROUP_PREFIX)!r}; `diary-mcp {kind} list` "
            "shows what there is."
        )


async def _remove_if_left_with_little(unit: UnitOfWork, grantee: Grantee) -> bool:
    """Takes back some of what the name was given, and where that is all, removes it."""
    limit = _CHANGES_A_TRANSACTION
    shares = await unit.removals.take_shares_back(grantee, limit)
    await _enqueue(unit, "revoke_viewer", shares, grantee)
    roles = await unit.removals.take_roles_back(grantee, limit)
    await _enqueue(unit, "revoke_diary_role", roles, grantee)
    if max(len(shares), len(roles)) == limit:
        return False
    if group_of(grantee) is None:
        diaries = await unit.removals.delete_diaries(AgentName(grantee))
        await _enqueue(unit, "remove_diary_relations", diaries)
    removal_id = await unit.removals.remove(grantee)
    await unit.workflows.enqueue(PermissionChange("remove_grantee_relations", (removal_id,)))
    return True


async def _enqueue(
    unit: UnitOfWork,
    workflow: PermissionWorkflow,
    changed: Sequence[Raised],
    grantee: Grantee | None = None,
) -> None:
    for each in changed:
        await unit.workflows.enqueue(
            PermissionChange(workflow, (each.id,), each.generation, grantee)
        )


def _conflict(name: AgentName, holdings: Holdings) -> ConflictError:
    held = [counted(holdings.entries, "entry", "entries")] if holdings.entries else []
    if holdings.diaries:
        held.append(f"the diaries {', '.join(holdings.diaries)}")
    return ConflictError(
        f"{name} still has {' and '.join(held)}. Keep a copy with `diary-mcp export DIR --agent "
        f"{name}`. Give diaries away with `diary-mcp diary transfer NAME AGENT --agent {name}`: "
        "those in which others have written have to be. `diary-mcp agent remove "
        f"{name} --entries` deletes the rest for good."
    )
