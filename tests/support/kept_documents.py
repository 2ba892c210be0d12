"""Documents as a process keeps them for its searches."""

import numpy as np

from diary_mcp.service.search.cache import Documents, as_ids


def documents(*names: int, vector: bytes = b"vector") -> Documents:
    """Documents whose ids are these numbers, shifted so that they end in zeros."""
    size = len(names)
    return Documents(
        ids=as_ids(b"".join((name << 64).to_bytes(16, "big") for name in names)),
        revisions=np.array(names, dtype=np.int64),
        worded=np.ones(size, dtype=np.bool_),
        created=np.zeros(size, dtype=np.int64),
        days=np.zeros(size),
        sessions=np.zeros(size, dtype=np.int64),
        lengths=np.ones(size),
        words=np.ones(size),
        is_question=np.zeros(size, dtype=np.bool_),
        authors=np.array(["ann"] * size, dtype=np.object_),
        sizes=np.full(size, len(vector)),
        vectors=vector * size,
    )
