"""Settling: making the permission backend agree with the rows of an entry.

Level-triggered. Whatever was asked, and however often it runs, settling reads what the rows
want now and what tuples there are now, and writes the difference. Order, duplicates and replays
of workflows therefore do not matter.
"""

from collections.abc import Sequence

from diary_mcp.domain.errors import PermissionRefusedError
from diary_mcp.domain.fields import EntryId
from diary_mcp.service.ports.permissions import PermissionWriter
from diary_mcp.service.ports.settlement import SettlementStore


async def settle(
    entry_ids: Sequence[EntryId], store: SettlementStore, writer: PermissionWriter
) -> None:
    """Makes the backend's tuples of these entries equal to what the rows want.

    Idempotent, and safe beside any other settling of the same entries. One entry that the
    backend refuses does not keep the others from settling.

    Raises:
        PermissionBackendUnavailableError: try again; nothing is known to have been written.
        DatabaseUnavailableError: likewise; a `LocksLostError` has to be followed by another try.
        PermissionRefusedError: the last of the refused entries; each keeps its reason.
    """
    try:
        await _settle_together(entry_ids, store, writer)
    except PermissionRefusedError as error:
        if len(entry_ids) == 1:
            async with store.lock_relations(entry_ids) as relations:
                await relations.mark_refused(str(error))
            raise
        await _settle_one_by_one(entry_ids, store, writer)


async def _settle_together(
    entry_ids: Sequence[EntryId], store: SettlementStore, writer: PermissionWriter
) -> None:
    async with store.lock_relations(entry_ids) as relations:
        present = await writer.list_entry_tuples(entry_ids)
        if present != relations.wanted:
            await writer.patch(insert=relations.wanted - present, delete=present - relations.wanted)
        await relations.mark_applied()


async def _settle_one_by_one(
    entry_ids: Sequence[EntryId], store: SettlementStore, writer: PermissionWriter
) -> None:
    refusal: PermissionRefusedError | None = None
    for entry_id in entry_ids:
        try:
            await settle([entry_id], store, writer)
        except PermissionRefusedError as error:
            refusal = error
    if refusal is not None:
        raise refusal
