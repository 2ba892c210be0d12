"""The workflows, registered with DBOS: a name says what was asked, and each has one step.

The permission workflows share theirs, which makes the permission backend agree with the rows
as they are when it runs (docs/DBOS.md). Indexing has no arguments, since a run indexes whatever is
not indexed; it begins with a pause, in which a transaction that found it waiting commits, and a
burst of writes comes together. The expiry of a signature request was enqueued with a delay in the
transaction that made the request; one that was used, or replaced, is not there any more.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import ParamSpec
from uuid import UUID

import structlog
from dbos import DBOS

from diary_mcp.domain.errors import (
    DatabaseUnavailableError,
    PermissionBackendUnavailableError,
    PermissionRefusedError,
    UnavailableError,
)
from diary_mcp.domain.fields import EntryId
from diary_mcp.service.ports.workflows import (
    EXPIRY_WORKFLOW,
    INDEXING_WORKFLOW,
    PERMISSION_WORKFLOWS,
    RelatedId,
)
from diary_mcp.service.telemetry import NO_TELEMETRY, Telemetry
from diary_mcp.workflows.loop import ApplicationLoop
from diary_mcp.workflows.ports import Expire, Indexer, Work
from diary_mcp.workflows.retrying import DEFAULT_RETRIES, RetryPolicy, retry

_log: structlog.stdlib.BoundLogger = structlog.get_logger()

_INDEXING_RETRIES = RetryPolicy(first_pause_s=1, longest_pause_s=1, give_up_after_s=60)
_EXPIRY_RETRIES = RetryPolicy(first_pause_s=1, longest_pause_s=1, give_up_after_s=600)
_GATHER_S = 0.2

_P = ParamSpec("_P")


class Workflows:
    """What the workflows do, on the application's loop."""

    def __init__(
        self,
        work: Work,
        loop: ApplicationLoop,
        retries: RetryPolicy = DEFAULT_RETRIES,
        telemetry: Telemetry = NO_TELEMETRY,
    ) -> None:
        self._work = work
        self._loop = loop
        self._retries = retries
        self._telemetry = telemetry

    def register(self) -> None:
        """Registers the workflows with DBOS; once for each `DBOS` instance, before its launch."""
        for name in PERMISSION_WORKFLOWS:
            _register(name, "settle", self._settle_step)
        if self._work.indexer is not None:
            _register(INDEXING_WORKFLOW, "index", partial(self._index_step, self._work.indexer))
        if self._work.expire is not None:
            _register(EXPIRY_WORKFLOW, "expire", partial(self._expire_step, self._work.expire))

    async def settle(
        self, workflow_id: str, entry_ids: Sequence[RelatedId], trace_parent: str | None = None
    ) -> None:
        """Settles the entries, waiting out a backend that does not answer.

        Nothing is held between two attempts. A refusal ends it without an error: the reason is
        kept on the entry's row, where `status` and the sweep find it, and another attempt would
        not help.

        Raises:
            PermissionBackendUnavailableError: still no answer when the policy gives up.
            DatabaseUnavailableError: likewise.
        """
        texts = [str(entry_id) for entry_id in entry_ids]

        async def attempt() -> None:
            try:
                await self._work.settle(entry_ids)
            except PermissionRefusedError as refusal:
                _log.warning("settling.refused", entry_ids=texts, reason=str(refusal))

        async def run() -> None:
            attributes = {"diary.workflow_id": workflow_id, "diary.entries": len(entry_ids)}
            with self._telemetry.span("diary.settle", attributes, parent=trace_parent):
                await retry(
                    attempt,
                    self._retries,
                    on=(PermissionBackendUnavailableError, DatabaseUnavailableError),
                    waits=partial(_log.info, "settling.waits", entry_ids=texts),
                )

        await self._loop.run(workflow_id, run)

    async def _settle_step(
        self,
        entry_ids: list[str],
        grantee: str | None = None,  # noqa: ARG002  # part of the wire format
        trace_parent: str | None = None,
    ) -> None:
        ids: list[RelatedId] = [EntryId(UUID(text)) for text in entry_ids]
        await self.settle(DBOS.workflow_id or "", ids, trace_parent)

    async def _index_step(self, indexer: Indexer) -> None:
        async def run() -> None:
            await asyncio.sleep(_GATHER_S)
            try:
                await retry(
                    indexer.index_waiting,
                    _INDEXING_RETRIES,
                    on=(DatabaseUnavailableError,),
                    waits=partial(_log.info, "indexing.waits"),
                )
            except UnavailableError as error:
                # Search must not be what stops a workflow; the sweep asks again.
                _log.warning("indexing.put_off", reason=str(error))

        await self._loop.run(DBOS.workflow_id or "", run)

    async def _expire_step(self, expire: Expire, request_id: str) -> None:
        async def run() -> None:
            # What has expired is not accepted, whether it is there or not, and the next request
            # for the same entry takes its place.
            with suppress(DatabaseUnavailableError):
                await retry(
                    partial(expire, UUID(request_id)),
                    _EXPIRY_RETRIES,
                    on=(DatabaseUnavailableError,),
                    waits=partial(_log.info, "expiry.waits"),
                )

        await self._loop.run(DBOS.workflow_id or "", run)


def _register(name: str, step: str, work: Callable[_P, Awaitable[None]]) -> None:
    async def workflow(*args: _P.args, **kwargs: _P.kwargs) -> None:
        async def run_step() -> None:
            await work(*args, **kwargs)

        await DBOS.run_step_async({"name": step}, run_step)

    # However often processes die under it, it is never given up.
    DBOS.workflow(name=name, max_recovery_attempts=None)(workflow)
