"""Packing vectors as they are stored; `search/vectors.py` compares them.

In plain Python, which is quick beside the model, so that a server that writes and does not search
needs no numpy.
"""

import math
import struct
from array import array
from collections.abc import Sequence

_STEPS = 127


def pack_vectors(vectors: Sequence[bytes]) -> bytes:
    """The vectors, each as a scale to length 1 and a signed byte a number, one after the other."""
    return b"".join(map(_pack, vectors))


def _pack(vector: bytes) -> bytes:
    values = [value for (value,) in struct.iter_unpack("<f", vector)]
    largest = max(map(abs, values), default=0.0) or 1.0
    steps = array("b", [round(value * _STEPS / largest) for value in values])
    length = math.sqrt(sum(step * step for step in steps)) or 1.0
    return struct.pack("<f", 1 / length) + steps.tobytes()
