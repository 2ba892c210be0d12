"""The vectors of one diary in an index of pgvector, for comparison."""

import statistics
from collections.abc import Iterator, Sequence
from time import perf_counter

import numpy as np
import psycopg

from quantiles import quantile

_MADE = (
    "drop table if exists diary_benchmark.passage",
    """
    create table diary_benchmark.passage (
        entry_id uuid not null, diary_id uuid not null, embedding halfvec(384) not null
    )
    """,
)
_INDEXED = (
    "set maintenance_work_mem = '2GB'",
    (
        "create index passage_embedding on diary_benchmark.passage"
        " using hnsw (embedding halfvec_ip_ops)"
    ),
    "vacuum analyze diary_benchmark.passage",
)
_NEAREST = """
select embedding <#> %(asked)s::halfvec from diary_benchmark.passage
where diary_id = (select id from diary.diary)
order by embedding <#> %(asked)s::halfvec limit 10
"""
_DIMENSIONS = 384
_MOVED = 22.0
"""How much each step of a vector is moved: about half of what it is, as texts on one topic are."""
_LOOKED_AT = (100, 800)
"""How many passages a search of the index keeps in view."""
_STORED = np.dtype([("scale", "<f4"), ("steps", "i1", (_DIMENSIONS,))])


def measure_pgvector(url: str, vectors: Sequence[bytes]) -> list[str]:
    """Rows: passages, in view, n, p50, p99, how long the index took, its size, and recall@10."""
    with psycopg.connect(url, autocommit=True) as connection:
        known = "select from pg_available_extensions where name = 'vector'"
        if connection.execute(known).fetchone() is None:
            return ["this PostgreSQL has no pgvector | | | | | | | "]
        connection.execute("create extension if not exists vector with schema public")
        connection.execute("set search_path = public, diary")
        passages = _fill(connection)
        started = perf_counter()
        for statement in _INDEXED:
            connection.execute(statement.encode())
        made_s = perf_counter() - started
        size = "select pg_relation_size('diary_benchmark.passage_embedding') / 1024 / 1024"
        ((mib,),) = connection.execute(size.encode()).fetchall()
        asked = [str(np.frombuffer(vector, dtype="<f4").tolist()) for vector in vectors]
        connection.execute("set hnsw.iterative_scan = relaxed_order")
        asking = {count: _ask(connection, asked, looked_at=count) for count in _LOOKED_AT}
        connection.execute("set enable_indexscan = off")
        _, exact = _ask(connection, asked[:40])
        connection.execute("drop table diary_benchmark.passage")
    return [
        f"{passages} | {count} | {len(durations)} | {statistics.median(durations):.1f} | "
        f"{quantile(durations, 99):.1f} | {made_s:.0f} | {mib} | {_recall(near, exact):.3f}"
        for count, (durations, near) in asking.items()
    ]


def _recall(near: Sequence[Sequence[float]], exact: Sequence[Sequence[float]]) -> float:
    shared = sum(
        sum(distance <= max(best) for distance in found)
        for found, best in zip(near, exact, strict=False)
    )
    return shared / sum(map(len, exact))


def _fill(connection: psycopg.Connection[tuple[object, ...]]) -> int:
    for statement in _MADE:
        connection.execute(statement.encode())
    count, randomly = 0, np.random.default_rng(1)
    with (
        psycopg.connect(connection.info.dsn, autocommit=False) as other,
        other.cursor("documents") as reading,
        connection.cursor().copy(
            "copy diary_benchmark.passage from stdin (format binary)"
        ) as copying,
    ):
        reading.execute("select entry_id, diary_id, vectors from diary.search_document")
        copying.set_types(["uuid", "uuid", "bytea"])
        for entry_id, diary_id, packed in reading:
            for embedding in _halves(packed if isinstance(packed, bytes) else b"", randomly):
                copying.write_row((entry_id, diary_id, embedding))
                count += 1
    return count


def _halves(packed: bytes, randomly: np.random.Generator) -> Iterator[bytes]:
    """As `halfvec_recv` reads them: the dimensions, nothing, and each number in 16 bits.

    Each is moved a little: what is made up has few different ones, of which the index would keep
    one for many.
    """
    stored = np.frombuffer(packed, dtype=_STORED)
    head = _DIMENSIONS.to_bytes(2, "big") + bytes(2)
    moved = stored["steps"] + randomly.normal(0, _MOVED, stored["steps"].shape)
    for vector in (moved / np.linalg.norm(moved, axis=1, keepdims=True)).astype(">f2"):
        yield head + vector.tobytes()


def _ask(
    connection: psycopg.Connection[tuple[object, ...]], asked: Sequence[str], looked_at: int = 100
) -> tuple[list[float], list[list[float]]]:
    connection.execute(f"set hnsw.ef_search = {looked_at}".encode())
    durations: list[float] = []
    found: list[list[float]] = []
    for vector in asked:
        started = perf_counter()
        # A plan that is kept would not heed what is switched off later.
        rows = connection.execute(_NEAREST.encode(), {"asked": vector}, prepare=False).fetchall()
        durations.append((perf_counter() - started) * 1_000)
        found.append([row[0] for row in rows if isinstance(row[0], float)])
    return durations, found
