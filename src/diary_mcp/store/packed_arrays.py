"""Arrays as parameters, packed here: psycopg looks at each value several times, in Python."""

import struct
from collections.abc import Collection, Iterable
from typing import NamedTuple

from psycopg import postgres
from psycopg.adapt import AdaptersMap, Dumper
from psycopg.pq import Format

_UUID = postgres.types["uuid"]
_TEXT = postgres.types["text"]
_ID_BYTES = 16
# Dimensions, whether there are nulls, the type; of the one dimension its length and first index.
_HEAD = struct.Struct("!iiIii")
_LENGTH = struct.Struct("!i")


class PackedIds(NamedTuple):
    """An array of ids, 16 bytes each, as they come."""

    packed: bytes


class Texts(NamedTuple):
    """An array of texts."""

    texts: Collection[str]


def register_packed_arrays(adapters: AdaptersMap) -> None:
    """Lets a connection take these."""
    adapters.register_dumper(PackedIds, _PackedIdsDumper)
    adapters.register_dumper(Texts, _TextsDumper)


class _PackedIdsDumper(Dumper):
    format = Format.BINARY
    oid = _UUID.array_oid

    def dump(self, obj: PackedIds) -> bytes:
        packed = obj.packed
        starts = range(0, len(packed), _ID_BYTES)
        return _array(_UUID.oid, [packed[start : start + _ID_BYTES] for start in starts])


class _TextsDumper(Dumper):
    format = Format.BINARY
    oid = _TEXT.array_oid

    def dump(self, obj: Texts) -> bytes:
        return _array(_TEXT.oid, [text.encode() for text in obj.texts])


def _array(oid: int, values: Collection[bytes]) -> bytes:
    """As PostgreSQL's `array_recv` reads them.

    Source: src/backend/utils/adt/arrayfuncs.c of PostgreSQL.
    """
    return _HEAD.pack(1, 0, oid, len(values), 1) + b"".join(_with_lengths(values))


def _with_lengths(values: Iterable[bytes]) -> Iterable[bytes]:
    for value in values:
        yield _LENGTH.pack(len(value))
        yield value
