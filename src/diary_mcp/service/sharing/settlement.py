"""Settling: making the permission backend agree with the rows of an entry or a diary.

Level-triggered. Whatever was asked, and however often it runs, settling reads what the rows
want now and what tuples there are now, and writes the difference. Order, duplicates and replays
of workflows therefore do not matter.
"""

from collections.abc import Sequence

from diary_mcp.domain.errors import (
    PermissionBackendUnavailableError,
    PermissionRefusedError,
    UnansweredWriteError,
)
from diary_mcp.domain.relations import RelationTuple
from diary_mcp.service.ports.permissions import PermissionWriter
from diary_mcp.service.ports.settlement import Relations, SettlementStore
from diary_mcp.service.ports.workflows import RelatedId


async def settle(
    ids: Sequence[RelatedId], store: SettlementStore, writer: PermissionWriter
) -> None:
    """Makes the backend's tuples of these entries and diaries equal to what the rows want.

    Idempotent, and safe beside any other settling of the same. One that the
    backend refuses does not keep the others from settling.

    Raises:
        PermissionBackendUnavailableError: try again; nothing is known to have been written. After
            an `UnansweredWriteError`, look once more when the write cannot be on its way any more.
        DatabaseUnavailableError: likewise; a `LocksLostError` has to be followed by another try.
        PermissionRefusedError: the last of the refused; each keeps its reason.
    """
    try:
        await _settle_together(ids, store, writer)
    except PermissionRefusedError as error:
        if len(ids) == 1:
            async with store.lock_relations(ids) as relations:
                await relations.mark_refused(str(error))
            raise
        await _settle_one_by_one(ids, store, writer)


async def is_settled(
    ids: Sequence[RelatedId], store: SettlementStore, writer: PermissionWriter
) -> bool:
    """Whether settling would find nothing to do, as a workflow mostly does.

    Takes no locks: the tuples are read after the rows, and agree with a state of these that is
    recorded as settled. What changes meanwhile has a workflow of its own.

    Raises:
        PermissionBackendUnavailableError: nobody can say.
        DatabaseUnavailableError: likewise.
    """
    relations = await store.read_relations(ids)
    if not relations.are_applied:
        return False
    try:
        return await _list_present(relations, writer) == relations.wanted
    except PermissionRefusedError:
        return False  # settling keeps the reason


async def _settle_together(
    ids: Sequence[RelatedId], store: SettlementStore, writer: PermissionWriter
) -> None:
    async with store.lock_relations(ids) as relations:
        present, wanted = await _list_present(relations, writer), relations.wanted
        if present == wanted and relations.are_applied:
            # Where anything was written, marking it also tells whether the locks were held all the
            # time.
            return
        if present != wanted:
            await _write(writer, insert=wanted - present, delete=present - wanted)
        await relations.mark_applied()


async def _write(
    writer: PermissionWriter, *, insert: set[RelationTuple], delete: set[RelationTuple]
) -> None:
    try:
        await writer.patch(insert=insert, delete=delete)
    except PermissionBackendUnavailableError as error:
        raise UnansweredWriteError(str(error)) from error.__cause__ or error


async def _list_present(relations: Relations, writer: PermissionWriter) -> set[RelationTuple]:
    entry_ids, diary_ids = relations.entry_ids, relations.diary_ids
    present = await writer.list_entry_tuples(entry_ids) if entry_ids else set[RelationTuple]()
    if diary_ids:
        present |= await writer.list_diary_tuples(diary_ids)
    for grantee in relations.removed_grantees:
        present |= await writer.list_group_tuples(grantee)
    return present


async def _settle_one_by_one(
    ids: Sequence[RelatedId], store: SettlementStore, writer: PermissionWriter
) -> None:
    refusal: PermissionRefusedError | None = None
    for each in ids:
        try:
            await settle([each], store, writer)
        except PermissionRefusedError as error:
            refusal = error
    if refusal is not None:
        raise refusal
