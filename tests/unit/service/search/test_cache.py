"""What a process keeps of entries between searches."""

import numpy as np

from diary_mcp.domain.fields import AgentName
from diary_mcp.service.ports.search import Whose
from diary_mcp.service.search.cache import CacheKey, DocumentCache, join
from support.kept_documents import documents

ALICE = CacheKey(Whose(AgentName("alice")), "model")
BOB = CacheKey(Whose(AgentName("bob")), "model")
CAROL = CacheKey(Whose(AgentName("carol")), "model")


def test_places_are_found_in_any_order_and_what_is_not_there_is_not() -> None:
    kept = documents(5, 3, 9)

    indices = kept.indices_of(documents(9, 4, 5, 10, 1).ids)

    assert indices.tolist() == [2, -1, 0, -1, -1]
    assert documents().indices_of(kept.ids).tolist() == [-1, -1, -1]


def test_taking_some_takes_their_vectors() -> None:
    kept = join([documents(1, vector=b"one"), documents(2, vector=b"two"), documents(3, 4)])

    taken = kept.take(np.array([False, True, False, True]))

    assert taken.vectors == b"twovector"
    assert taken.sizes.tolist() == [3, 6]
    assert taken.ids.tolist() == documents(2, 4).ids.tolist()


def test_the_fingerprint_tells_documents_apart_whatever_their_order() -> None:
    assert documents(1, 2, 3).fingerprint == documents(3, 1, 2).fingerprint
    assert documents(1, 2, 3).fingerprint != documents(1, 2, 4).fingerprint


def test_what_was_not_asked_for_longest_goes_when_there_is_no_room() -> None:
    kept = documents(1, 2)
    cache = DocumentCache(most_bytes=2 * kept.size_bytes)
    cache.put(ALICE, kept)
    cache.put(BOB, documents(3, 4))
    assert cache.find(ALICE) is kept

    cache.put(CAROL, documents(5, 6))

    assert [cache.find(name) is not None for name in (ALICE, BOB, CAROL)] == [True, False, True]


def test_what_is_larger_than_all_the_room_is_not_kept_and_drops_nothing_else() -> None:
    cache = DocumentCache(most_bytes=documents(1, 2).size_bytes)
    cache.put(ALICE, documents(1))

    cache.put(BOB, documents(1, 2, 3))

    assert cache.find(BOB) is None
    assert cache.find(ALICE) is not None
