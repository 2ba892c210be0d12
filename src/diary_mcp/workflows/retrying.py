"""Settling as a step does it: until it succeeds, or for as long as a step may last."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from random import uniform

import structlog

from diary_mcp.domain.errors import (
    DatabaseUnavailableError,
    PermissionBackendUnavailableError,
    PermissionRefusedError,
)
from diary_mcp.domain.fields import EntryId
from diary_mcp.service.telemetry import NO_TELEMETRY, Telemetry
from diary_mcp.workflows.loop import ApplicationLoop
from diary_mcp.workflows.ports import Settle

_log: structlog.stdlib.BoundLogger = structlog.get_logger()


@dataclass(frozen=True)
class RetryPolicy:
    """How long a step goes on trying, and its pauses, each up to twice as long as the last."""

    first_pause_s: float = 0.1
    longest_pause_s: float = 5
    give_up_after_s: float = 600


DEFAULT_RETRIES = RetryPolicy()


class Settling:
    """Runs the settling of all workflows on the application's loop."""

    def __init__(
        self,
        settle: Settle,
        policy: RetryPolicy,
        loop: ApplicationLoop,
        telemetry: Telemetry = NO_TELEMETRY,
    ) -> None:
        self._settle = settle
        self._policy = policy
        self._loop = loop
        self._telemetry = telemetry

    async def run(
        self, workflow_id: str, entry_ids: Sequence[EntryId], trace_parent: str | None = None
    ) -> None:
        """Settles the entries from whatever loop this is called on; ends when that is cancelled.

        Raises:
            PermissionBackendUnavailableError: still no answer when the policy gives up.
            DatabaseUnavailableError: likewise.
        """

        async def work() -> None:
            attributes = {"diary.workflow_id": workflow_id, "diary.entries": len(entry_ids)}
            with self._telemetry.span("diary.settle", attributes, parent=trace_parent):
                await settle_with_retries(entry_ids, self._settle, self._policy)

        await self._loop.run(workflow_id, work)


async def settle_with_retries(
    entry_ids: Sequence[EntryId], settle: Settle, policy: RetryPolicy
) -> None:
    """Settles the entries, waiting out a backend that does not answer.

    Nothing is held between two attempts. A refusal ends it without an error: the reason is kept
    on the entry's row, where `status` and the sweep find it, and another attempt would not help.

    Raises:
        PermissionBackendUnavailableError: still no answer when the policy gives up.
        DatabaseUnavailableError: likewise.
    """
    deadline = time.monotonic() + policy.give_up_after_s
    longest_s = policy.first_pause_s
    while True:
        try:
            await settle(entry_ids)
        except PermissionRefusedError as refusal:
            _log.warning("settling.refused", entry_ids=_texts(entry_ids), reason=str(refusal))
            return
        except (PermissionBackendUnavailableError, DatabaseUnavailableError) as error:
            # Of many that wait for one backend, not all try again at the same moment.
            pause_s = uniform(longest_s / 2, longest_s)  # noqa: S311  # no secret
            if time.monotonic() + pause_s > deadline:
                raise
            _log.info("settling.waits", entry_ids=_texts(entry_ids), reason=str(error))
        else:
            return
        await asyncio.sleep(pause_s)
        longest_s = min(longest_s * 2, policy.longest_pause_s)


def _texts(entry_ids: Sequence[EntryId]) -> list[str]:
    return [str(entry_id) for entry_id in entry_ids]
