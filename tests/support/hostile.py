"""What hostile clients send, and what a server may use up under it.

Everything is made from a seed. The short form, which every run of the suite has, is the same each
time; `DIARY_MCP_TEST_HOSTILE=50` makes fifty times as much, from a new seed that it prints.
"""

import json
import os
import random
import secrets
from collections.abc import Iterator

import psutil
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from support.clients import Json

SCALE = int(os.environ.get("DIARY_MCP_TEST_HOSTILE", "1"))
SEED = "short" if SCALE == 1 else secrets.token_hex(8)
# A server that holds no embedding model takes about 110 MiB at rest.
MAX_MIB = 700
CODES = {"ok", "invalid_argument", "not_found", "forbidden", "conflict", "unavailable"}

_INITIALIZE: Json = {
    "jsonrpc": "2.0",
    "id": "first",
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "hostile", "version": "0"},
    },
}
HANDSHAKE = (_INITIALIZE, {"jsonrpc": "2.0", "method": "notifications/initialized"})

FUZZED = settings(max_examples=12 * SCALE)


def rss_mib(pid: int) -> float:
    """The memory that a process has now."""
    return psutil.Process(pid).memory_info().rss / (1 << 20)


def seeded(what: str) -> random.Random:
    """Chance, the same for the same thing in one run."""
    print(f"seed {SEED}")  # noqa: T201  # pytest shows it where a test fails
    return random.Random(f"{SEED} {what}")


_TEXT = st.text(max_size=40) | st.sampled_from(
    [
        "",
        "\0",
        "\ud800",
        "\u202e",
        "' or 1=1 --",
        "%s",
        "{}",
        "../..",
        "group:",
        "a" * 3_000,
        "💥" * 50,
    ]
)
_SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | _TEXT
)
ANYTHING: SearchStrategy[object] = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXT, inner, max_size=4),
    max_leaves=12,
)


def arguments_for(schema: Json) -> SearchStrategy[Json]:
    """Arguments that a client may send who has read the tool's input schema."""
    required = set(schema.get("required", ()))
    properties = {name: _value(each) for name, each in schema["properties"].items()}
    return st.fixed_dictionaries(
        {name: value for name, value in properties.items() if name in required},
        optional={name: value for name, value in properties.items() if name not in required},
    )


@st.composite
def mutated(draw: DrawFn, schema: Json) -> Json:
    """The same, with something that no schema allows."""
    arguments = draw(arguments_for(schema))
    names = [*schema["properties"], draw(_TEXT)]
    for name in draw(st.lists(st.sampled_from(names), min_size=1, max_size=3)):
        arguments[name] = draw(ANYTHING)
    return arguments


def _value(schema: Json) -> SearchStrategy[object]:
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    match schema["type"]:
        case "string":
            shortest = schema.get("minLength", 0)
            longest = min(schema.get("maxLength", 60), 60)
            return _times() | st.text(min_size=shortest, max_size=longest)
        case "integer":
            return st.integers(schema.get("minimum", -5), schema.get("maximum", 1_000))
        case "number":
            return st.floats(schema.get("minimum", 0), schema.get("maximum", 1))
        case "boolean":
            return st.booleans()
        case _:
            return st.lists(_value(schema["items"]), max_size=schema.get("maxItems", 5))


def _times() -> SearchStrategy[str]:
    return st.datetimes().map(lambda time: f"{time.isoformat()}Z") | st.dates().map(str)


# Envelopes that are wrong in one way each; what is in them is a call that would be allowed.
_CALLS: dict[str, bytes] = {
    name: b'{"jsonrpc":%s,"id":%s,"method":%s,"params":%s}' % parts
    for name, parts in {
        "version 1.0": (b'"1.0"', b"1", b'"tools/list"', b"{}"),
        "version 2": (b"2", b"1", b'"tools/list"', b"{}"),
        "version null": (b"null", b"1", b'"tools/list"', b"{}"),
        "id null": (b'"2.0"', b"null", b'"tools/list"', b"{}"),
        "id true": (b'"2.0"', b"true", b'"tools/list"', b"{}"),
        "id 1.5": (b'"2.0"', b"1.5", b'"tools/list"', b"{}"),
        "id 1e999": (b'"2.0"', b"1e999", b'"tools/list"', b"{}"),
        "id NaN": (b'"2.0"', b"NaN", b'"tools/list"', b"{}"),
        "id list": (b'"2.0"', b"[1]", b'"tools/list"', b"{}"),
        "id object": (b'"2.0"', b'{"a":1}', b'"tools/list"', b"{}"),
        "id of 5,000 digits": (b'"2.0"', b"9" * 5_000, b'"tools/list"', b"{}"),
        "method 7": (b'"2.0"', b"1", b"7", b"{}"),
        "method null": (b'"2.0"', b"1", b"null", b"{}"),
        "params list": (b'"2.0"', b"1", b'"tools/list"', b"[1]"),
        "params text": (b'"2.0"', b"1", b'"tools/list"', b'"x"'),
        "cursor object": (b'"2.0"', b"1", b'"tools/list"', b'{"cursor":{}}'),
        "name list": (b'"2.0"', b"1", b'"tools/call"', b'{"name":["diary_create"]}'),
        "meta text": (b'"2.0"', b"1", b'"tools/list"', b'{"_meta":"x"}'),
        "progress token": (b'"2.0"', b"1", b'"tools/list"', b'{"_meta":{"progressToken":[]}}'),
        "trace that is none": (b'"2.0"', b"1", b'"tools/list"', b'{"_meta":{"traceparent":7}}'),
        "nested arguments": (
            b'"2.0"', b"1", b'"tools/call"',
            b'{"name":"diary_create","arguments":{"content":' + b"[" * 5_000 + b"]" * 5_000 + b"}}",
        ),
        "nested meta": (
            b'"2.0"', b"1", b'"tools/list"', b'{"_meta":' + b'{"a":' * 5_000 + b"1" + b"}" * 5_001,
        ),
        "many small values": (
            b'"2.0"', b"1", b'"tools/call"',
            b'{"name":"diary_create","arguments":{"content":[' + b"[]," * 300_000 + b"[]]}}",
        ),
    }.items()
}  # fmt: skip
ENVELOPES = _CALLS | {
    "keys twice": b'{"jsonrpc":"2.0","jsonrpc":"1.0","id":1,"id":[],"method":"tools/list"}',
    "answer to nothing": b'{"jsonrpc":"2.0","id":77,"result":{}}',
    "error to nothing": b'{"jsonrpc":"2.0","id":77,"error":{"code":1,"message":"x"}}',
    "cancelling nothing": (
        b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":{}}}'
    ),
    "progress of nothing": (
        b'{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":[],"x":1}}'
    ),
    "batch": b'[{"jsonrpc":"2.0","id":1,"method":"tools/list"}]',
    "overlong UTF-8": b'{"jsonrpc":"2.0","id":1,"method":"\xc0\xaf\xe0\x80\xaf"}',
    "surrogate": rb'{"jsonrpc":"2.0","id":"\ud800","method":"\udfff"}',
    "NUL": b'{"jsonrpc":"2.0","id":1,"method":"\0"}',
    "byte order mark": b'\xef\xbb\xbf{"jsonrpc":"2.0","id":1,"method":"tools/list"}',
}


def damaged(message: bytes, count: int, chance: random.Random) -> Iterator[bytes]:
    """The message with a few bytes changed, cut out or doubled."""
    for _ in range(count):
        bytes_ = bytearray(message)
        for _ in range(chance.randint(1, 6)):
            at = chance.randrange(len(bytes_))
            match chance.randrange(3):
                case 0:
                    bytes_[at] = chance.randrange(256)
                case 1:
                    del bytes_[at : at + chance.randint(1, 20)]
                case _:
                    bytes_[at:at] = bytes_[at : at + chance.randint(1, 200)]
            bytes_ = bytes_ or bytearray(message)
        yield bytes(bytes_)


def garbage(count: int, chance: random.Random) -> Iterator[bytes]:
    """Bytes of no meaning, some of them long."""
    for _ in range(count):
        yield chance.randbytes(chance.choice((1, 10, 100, 10_000, 100_000)))


def call_line(tool: str, arguments: Json, *, number: int | str = "hostile") -> bytes:
    """A tool call as a message on one line, without its end."""
    return json.dumps(
        {
            "jsonrpc": "2.0",
            "id": number,
            "method": "tools/call",
            "params": {"name": tool, "arguments": arguments},
        }
    ).encode()
