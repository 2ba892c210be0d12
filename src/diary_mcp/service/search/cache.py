"""What search knows of entries, as columns that a process may keep between searches.

A document never changes: another state of it has another revision. So what is kept is right as
long as the store still names the same revisions, whoever writes meanwhile.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import MAXYEAR
from functools import cached_property
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from diary_mcp.domain.fields import AgentName, EntryId
from diary_mcp.service.ports.search import PackedDocuments, SearchReader, Whose
from diary_mcp.service.search.ranking import Corpus, Flags, Floats, Integers

Ids = NDArray[np.bytes_]

MAX_BYTES = 64 * 2**20
"""How much of documents a process keeps at most."""

ID_BYTES = 16
_BYTES_BESIDE_VECTORS = 192
_NOWHERE = -1
_EPOCH_YEAR = 1970


@dataclass(frozen=True)
class Documents:
    """Columns, one value for each entry."""

    ids: Ids
    revisions: Integers
    worded: Flags
    created: Integers
    """Microseconds since 2000."""
    days: Floats
    sessions: Integers
    """0 where an entry has no session."""
    lengths: Floats
    words: Floats
    is_question: Flags
    authors: NDArray[np.object_]
    sizes: Integers
    """How many bytes of `vectors` are its own."""
    vectors: bytes

    @property
    def size(self) -> int:
        return len(self.ids)

    @property
    def size_bytes(self) -> int:
        return len(self.vectors) + self.size * _BYTES_BESIDE_VECTORS

    @cached_property
    def order(self) -> NDArray[np.uint64]:
        """The id's halves in two columns: what breaks ties."""
        return np.frombuffer(self.ids.tobytes(), dtype=">u8").astype(np.uint64).reshape(-1, 2)

    @cached_property
    def line(self) -> Integers:
        """Session by session, and in each from the first entry to the last."""
        return np.lexsort((self.order[:, 1], self.order[:, 0], self.days, self.sessions))

    @cached_property
    def corpus(self) -> Corpus:
        """These alone, as the ranking takes them."""
        return Corpus(
            days=self.days,
            sessions=self.sessions,
            order=self.order,
            line=self.line,
            lengths=self.lengths,
            words=self.words,
            is_question=self.is_question,
            authors=self.authors,
        )

    @cached_property
    def unworded(self) -> int:
        """How many lack words in the index."""
        return int((~self.worded).sum())

    @cached_property
    def author_names(self) -> frozenset[str]:
        """Every author once."""
        return frozenset(self.authors.tolist())

    @cached_property
    def years(self) -> frozenset[int]:
        """The years that the entries are about."""
        years = np.floor(self.days).astype("datetime64[D]").astype("datetime64[Y]")
        # As a float, the last microsecond of the last year is the first of the next.
        numbers = np.minimum(years.astype(np.int64) + _EPOCH_YEAR, MAXYEAR)
        return frozenset(np.unique(numbers).tolist())

    @cached_property
    def fingerprint(self) -> int:
        """All revisions by xor."""
        return int(np.bitwise_xor.reduce(self.revisions)) if self.size else 0

    def indices_of(self, ids: Ids) -> Integers:
        """Where each of these is; -1 where it is not among these."""
        if not self.size:
            return np.full(len(ids), _NOWHERE, dtype=np.int64)
        sorted_ids, indices = self._by_id
        found = np.minimum(np.searchsorted(sorted_ids, ids), self.size - 1)
        return np.where(sorted_ids[found] == ids, indices[found], _NOWHERE)

    def take(self, keep: Flags) -> "Documents":
        """Those that are flagged."""
        if keep.all():
            return self
        ends = np.cumsum(self.sizes)[keep].tolist()
        sizes = self.sizes[keep]
        return Documents(
            ids=self.ids[keep],
            revisions=self.revisions[keep],
            worded=self.worded[keep],
            created=self.created[keep],
            days=self.days[keep],
            sessions=self.sessions[keep],
            lengths=self.lengths[keep],
            words=self.words[keep],
            is_question=self.is_question[keep],
            authors=self.authors[keep],
            sizes=sizes,
            vectors=b"".join(
                self.vectors[end - size : end]
                for end, size in zip(ends, sizes.tolist(), strict=True)
            ),
        )

    def with_vectors_of(self, vector_bytes: int) -> "Documents":
        """The same without vectors of another length."""
        unlike = self.sizes % vector_bytes != 0
        if not unlike.any():
            return self
        return replace(
            self,
            sizes=np.where(unlike, 0, self.sizes),
            vectors=self.take(~unlike).vectors,
        )

    @cached_property
    def _by_id(self) -> tuple[Ids, Integers]:
        indices = np.argsort(self.ids, kind="stable")
        return self.ids[indices], indices


def unpack(packed: PackedDocuments) -> Documents:
    """The columns as numpy has them."""
    # Of many equal strings, one is kept.
    names = {author: author for author in packed.authors}
    return Documents(
        ids=as_ids(packed.ids),
        revisions=as_integers(packed.revisions, ">i8"),
        worded=as_flags(packed.worded),
        created=as_integers(packed.created, ">i8"),
        days=np.frombuffer(packed.days, dtype=">f8").astype(np.float64),
        sessions=as_integers(packed.sessions, ">i8"),
        lengths=as_integers(packed.lengths, ">i4").astype(np.float64),
        words=as_integers(packed.words, ">i4").astype(np.float64),
        is_question=as_flags(packed.is_question),
        authors=np.array([names[author] for author in packed.authors], dtype=np.object_),
        sizes=as_integers(packed.vector_sizes, ">i4"),
        vectors=packed.vectors,
    )


def join(parts: Sequence[Documents]) -> Documents:
    """All of them, one part after the other."""
    if len(parts) == 1:
        return parts[0]
    return Documents(
        ids=np.concatenate([part.ids for part in parts]),
        revisions=np.concatenate([part.revisions for part in parts]),
        worded=np.concatenate([part.worded for part in parts]),
        created=np.concatenate([part.created for part in parts]),
        days=np.concatenate([part.days for part in parts]),
        sessions=np.concatenate([part.sessions for part in parts]),
        lengths=np.concatenate([part.lengths for part in parts]),
        words=np.concatenate([part.words for part in parts]),
        is_question=np.concatenate([part.is_question for part in parts]),
        authors=np.concatenate([part.authors for part in parts]),
        sizes=np.concatenate([part.sizes for part in parts]),
        vectors=b"".join(part.vectors for part in parts),
    )


async def renew(
    search: SearchReader, kept: Documents, ids: Ids, revisions: Integers, model: str | None
) -> Documents:
    """These documents; those that are kept in this state are not read again.

    One that is deleted at this moment is left out. `kept` itself, where it is all of them.
    """
    indices = kept.indices_of(ids)
    present = indices >= 0
    present[present] = kept.revisions[indices[present]] == revisions[present]
    if len(ids) == kept.size and present.all():
        return kept
    still = np.zeros(kept.size, dtype=np.bool_)
    still[indices[present]] = True
    parts = [kept.take(still)]
    if not present.all():
        parts.append(unpack(await search.read_documents(ids[~present].tobytes(), model)))
    return join([part for part in parts if part.size] or parts[:1])


def as_ids(column: bytes) -> Ids:
    """16 bytes each. An id that ends in zeros reads shorter, and compares the same."""
    return np.frombuffer(column, dtype=f"S{ID_BYTES}")


def as_entry_ids(ids: Ids) -> list[EntryId]:
    return [EntryId(each) for each in as_uuids(ids)]


def as_uuids(ids: Ids) -> list[UUID]:
    packed = ids.tobytes()
    return [UUID(bytes=packed[i : i + ID_BYTES]) for i in range(0, len(packed), ID_BYTES)]


def as_integers(column: bytes, kind: str) -> Integers:
    return np.frombuffer(column, dtype=kind).astype(np.int64)


def as_flags(column: bytes) -> Flags:
    return np.frombuffer(column, dtype=np.bool_)


NO_DOCUMENTS = Documents(
    ids=as_ids(b""),
    revisions=np.zeros(0, np.int64),
    worded=np.zeros(0, np.bool_),
    created=np.zeros(0, np.int64),
    days=np.zeros(0),
    sessions=np.zeros(0, np.int64),
    lengths=np.zeros(0),
    words=np.zeros(0),
    is_question=np.zeros(0, np.bool_),
    authors=np.zeros(0, np.object_),
    sizes=np.zeros(0, np.int64),
    vectors=b"",
)


@dataclass(frozen=True)
class CacheKey:
    """Which documents, with which model's vectors.

    All of an agent's or in a diary; without either, those that others share with `reader`.
    """

    whose: Whose
    model: str | None
    reader: AgentName | None = None


class DocumentCache:
    """What this process keeps: the documents of those who searched last, within `MAX_BYTES`."""

    def __init__(self, most_bytes: int = MAX_BYTES) -> None:
        self._most_bytes = most_bytes
        self._kept: OrderedDict[CacheKey, Documents] = OrderedDict()

    def find(self, name: CacheKey) -> Documents | None:
        """What was put there last."""
        kept = self._kept.get(name)
        if kept is not None:
            self._kept.move_to_end(name)
        return kept

    def drop(self, name: CacheKey) -> None:
        """Keeps nothing there any more."""
        self._kept.pop(name, None)

    def put(self, name: CacheKey, documents: Documents) -> None:
        """Keeps the documents, and drops those that were not asked for longest."""
        self.drop(name)
        if documents.size_bytes > self._most_bytes:
            return
        self._kept[name] = documents
        while sum(each.size_bytes for each in self._kept.values()) > self._most_bytes:
            self._kept.popitem(last=False)
