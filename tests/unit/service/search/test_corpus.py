"""The entries that one search looks at."""

from dataclasses import replace

import numpy as np

from diary_mcp.domain.fields import AgentName
from diary_mcp.service.ports.search import Postings
from diary_mcp.service.search.cache import Documents, Ids, as_ids
from diary_mcp.service.search.corpus import Part, SearchedEntries
from support.kept_documents import documents


def test_each_word_is_found_where_it_stands_but_for_what_was_changed_since() -> None:
    kept = replace(documents(1, 2, 3), worded=np.array([False, True, True]))
    entries = searched(kept)
    backup = postings("backup", documents(1, 2).ids, 4, 5)
    disk = postings("disk", documents(3, 7, 2).ids, 6, 7, 8)

    found = entries.find([backup, disk], [])

    assert {term: (at.tolist(), counts.tolist()) for term, (at, counts) in found.items()} == {
        "backup": ([1], [5.0]),
        "disk": ([2, 1], [6.0, 8.0]),
    }
    assert entries.find([], []) == {}


def searched(kept: Documents) -> SearchedEntries:
    flags = np.ones(kept.size, dtype=np.bool_)
    nothing = as_ids(bytes(16 * kept.size))
    return SearchedEntries(Part(kept, flags, flags, nothing), [AgentName("alice")])


def postings(term: str, ids: Ids, *counts: int) -> Postings:
    return Postings(term, ids.tobytes(), b"".join(count.to_bytes(4, "big") for count in counts))
