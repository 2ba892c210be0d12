"""Whether a chain goes on from where this machine has seen it end.

The database says where the chain ends, when that was signed and which keys are valid. Whoever
signs believes none of it: what is beyond the remembered head is checked link by link.
"""

from collections.abc import Collection
from datetime import UTC, datetime, timedelta

import structlog

from diary_mcp.domain.chain import ChainHead, PublicKey
from diary_mcp.domain.errors import ConflictError, SigningKeyError
from diary_mcp.domain.fields import AgentName, format_time
from diary_mcp.service.chain.check import ChainCheck
from diary_mcp.service.chain.key_history import CheckSignature, ToldKeys
from diary_mcp.service.chain.statements import hash_bytes, read_statement
from diary_mcp.service.ports.chain import ChainMemory, ChainReader, ChainWriter, Head

MAX_CLOCK_AHEAD = timedelta(minutes=5)
"""How far ahead of this machine's clock the last link's may have been."""

NO_HEAD = Head(sequence=0, hash=None, signed_at=None, valid_keys=(), known_keys=())
_LINKS_AT_ONCE = 500
_MAX_PROPOSED = 100

_log: structlog.stdlib.BoundLogger = structlog.get_logger()


class ChainReplacedError(ConflictError):
    """The chain is not the one that this machine has seen, or its time cannot be; it says why."""


class Continuity:
    """What this machine remembers of its agent's chain, held against what a database shows."""

    def __init__(self, memory: ChainMemory, check_signature: CheckSignature) -> None:
        self._memory = memory
        self._check_signature = check_signature
        self._proposed: dict[str, Head] = {}

    @property
    def agent(self) -> AgentName:
        """Whose chain it is about."""
        return self._memory.agent

    def recall(self) -> Head | None:
        """How far this machine has seen the chain.

        Raises:
            SigningKeyError: what it remembers cannot be read.
        """
        return self._memory.recall()

    def expect(self) -> Head | None:
        """Where the chain ends unless others have signed; `None` where nobody can say.

        Raises:
            SigningKeyError: what it remembers cannot be read.
        """
        known = self._memory.recall()
        if known is None or known.signed_at is None or _has_not_come(known.signed_at):
            return None
        return known

    async def follow(
        self, chain: ChainReader, head: Head, known: Head | None, own: Collection[PublicKey]
    ) -> Head:
        """The head, with the time and the keys that its links say.

        Args:
            chain: where the links are.
            head: where the chain ends by the database's word.
            known: what this machine remembers, from before the head was read or under its lock.
            own: keys of this machine, whose takeovers it made itself.

        Raises:
            ChainReplacedError: it does not go on from what is known.
        """
        proposed = self._proposed.get(head.hash or "")
        is_at_end = proposed is not None and proposed.sequence == head.sequence
        if proposed is not None and is_at_end and _goes_on_from(known, proposed):
            end = proposed
        elif known is None:
            end = await self._meet(chain, head)
        else:
            end = await self._go_on(chain, head, known, own)
        if end.signed_at is not None and _has_not_come(end.signed_at):
            raise ChainReplacedError(
                f"Link {end.sequence} says that it was signed at {format_time(end.signed_at)}, "
                "which has not come yet. Set the clock of this machine, or of the one that signed "
                "it; until then nothing is signed."
            )
        return end

    def propose(self, chain: ChainWriter, head: Head) -> None:
        """Remembers where the chain ends once the unit of work is committed."""
        self._proposed[head.hash or ""] = head
        if len(self._proposed) > _MAX_PROPOSED:
            self._proposed.pop(next(iter(self._proposed)))
        chain.after_commit(lambda: self._remember(head))

    def _remember(self, head: Head) -> None:
        try:
            self._memory.remember(head)
        except (OSError, SigningKeyError) as error:
            # What is signed may be committed by now.
            _log.warning("signing.not_remembered", path=self._memory.path, error=str(error))

    async def _meet(self, chain: ChainReader, head: Head) -> Head:
        """The first time, when there is nothing to compare with."""
        if head.sequence == 0 and head.hash is None:
            return NO_HEAD
        keys = ToldKeys()
        links = await chain.list_key_links(self.agent)
        keys.add(link for _, link in sorted(links.items()))
        last = await chain.list_links(self.agent, head.sequence - 1, 1)
        if not last or hash_bytes(last[0].statement.encode()) != head.hash:
            raise ChainReplacedError(
                f"The chain of {self.agent} does not end where the database says. `diary-mcp "
                "verify` says where it is broken; until it is mended, nothing is signed."
            )
        return Head(
            sequence=head.sequence,
            hash=head.hash,
            signed_at=read_statement(last[0].statement).time,
            valid_keys=[period.key for period in keys.periods if period.revoked is None],
            known_keys=[period.key for period in keys.periods],
        )

    async def _go_on(
        self, chain: ChainReader, head: Head, known: Head, own: Collection[PublicKey]
    ) -> Head:
        if head.sequence == known.sequence and head.hash == known.hash:
            return known
        if head.sequence == known.sequence:
            raise self._replaced(f"link {head.sequence} is another one")
        if head.sequence < known.sequence:
            raise self._replaced(f"it ends at link {head.sequence} now")
        check = ChainCheck.going_on(self.agent, self._check_signature, known, own)
        after = known.sequence
        # By the rows' own numbers, which need not be those of their links; else a gap is for ever.
        while check.broken is None and (
            page := await chain.list_links(self.agent, after, _LINKS_AT_ONCE)
        ):
            for row in page:
                check.add_link(row.link)
            after = page[-1].sequence
        check.finish(end_of(head))
        if check.broken is not None:
            raise self._replaced(f"link {check.broken.sequence}: {check.broken.problem}")
        self._remember(check.head)
        return check.head

    def _replaced(self, why: str) -> ChainReplacedError:
        return ChainReplacedError(
            f"The chain of {self.agent} is not the one that this machine has seen: {why}. Nothing "
            "is signed, and `diary-mcp verify` says more. If an older backup was restored, or the "
            f"diary begun anew, move {self._memory.path} away."
        )


def end_of(head: Head | None) -> ChainHead | None:
    """The head as a checker is told it."""
    if head is None or head.hash is None:
        return None
    return ChainHead(sequence=head.sequence, hash=head.hash)


def _has_not_come(moment: datetime) -> bool:
    return moment > datetime.now(UTC) + MAX_CLOCK_AHEAD


def _goes_on_from(known: Head | None, head: Head) -> bool:
    return known is None or head.sequence > known.sequence or head.hash == known.hash
