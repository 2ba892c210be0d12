"""Many ids as one parameter: 16 bytes each, as they come, instead of an object and a text each."""

import struct
from dataclasses import dataclass

from psycopg import postgres
from psycopg.adapt import AdaptersMap, Dumper
from psycopg.pq import Format

_UUID = postgres.types["uuid"]
_ID_BYTES = 16
# Dimensions, whether there are nulls, the type; of the one dimension its length and first index.
_HEAD = struct.Struct("!iiIii")
_LENGTH = struct.pack("!i", _ID_BYTES)


@dataclass(frozen=True)
class PackedIds:
    """An array of ids for a statement."""

    packed: bytes


def register_packed_ids(adapters: AdaptersMap) -> None:
    """Lets a connection take these."""
    adapters.register_dumper(PackedIds, _PackedIdsDumper)


class _PackedIdsDumper(Dumper):
    """As PostgreSQL's `array_recv` reads them.

    Source: src/backend/utils/adt/arrayfuncs.c of PostgreSQL.
    """

    format = Format.BINARY
    oid = _UUID.array_oid

    def dump(self, obj: PackedIds) -> bytes:
        packed = obj.packed
        starts = range(0, len(packed), _ID_BYTES)
        ids = [_LENGTH + packed[start : start + _ID_BYTES] for start in starts]
        return _HEAD.pack(1, 0, _UUID.oid, len(ids), 1) + b"".join(ids)
