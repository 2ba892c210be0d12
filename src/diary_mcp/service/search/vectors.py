"""Vectors as they are stored: 384 signed bytes and a scale in place of 384 floats.

A quarter of the room, and of what a search reads; docs/search.md tells what it costs.
"""

import numpy as np
from numpy.typing import NDArray

_FLOATS = np.dtype("<f4")
# As floats they stay in the processor's cache, and they are too few for OpenBLAS to share out among
# threads, which on a busy machine wait for each other a hundred times longer than they work.
_NUMBERS_AT_ONCE = 384 * 1024


def compare(packed: bytes, query: bytes) -> NDArray[np.float64]:
    """The cosine between `query` and each of the packed vectors, in their order."""
    asked = _unit(query)
    stored = np.frombuffer(packed, dtype=_stored(len(asked)))
    products = np.empty(len(stored), dtype=np.float32)
    at_once = max(1, _NUMBERS_AT_ONCE // len(asked))
    floats = np.empty((min(len(stored), at_once), len(asked)), dtype=np.float32)
    for start in range(0, len(stored), at_once):
        steps = stored["steps"][start : start + at_once]
        portion = floats[: len(steps)]
        np.copyto(portion, steps)
        np.matmul(portion, asked, out=products[start : start + len(steps)])
    return (products * stored["scale"]).astype(np.float64)


def vector_bytes(query: bytes) -> int:
    """How many bytes one stored vector of the same model takes."""
    return _stored(len(query) // _FLOATS.itemsize).itemsize


def _unit(vector: bytes) -> NDArray[np.float32]:
    values = np.frombuffer(vector, dtype=_FLOATS)
    return values / (np.linalg.norm(values) or 1.0)


def _stored(dimensions: int) -> np.dtype[np.void]:
    return np.dtype([("scale", "<f4"), ("steps", "i1", (dimensions,))])
