"""JSON-RPC messages from the wire, with strings that every later reader can hold.

What is no message gets the error that JSON-RPC has for it, with the id where it can be read: the
SDK would drop it, and whoever asked would wait.
"""

import json
import re
from collections import Counter
from dataclasses import dataclass
from typing import cast

from mcp_types import (
    INVALID_PARAMS,
    INVALID_REQUEST,
    PARSE_ERROR,
    PROTOCOL_VERSION_META_KEY,
    ErrorData,
    JSONRPCError,
    JSONRPCMessage,
    JSONRPCRequest,
    jsonrpc_message_adapter,
)
from pydantic import JsonValue, ValidationError

from diary_mcp.domain.fields import REPEATED

_ESCAPE = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"  # a pair: one character
    r"|(?P<lone>\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
    r"|\\."
)
_NUL_ESCAPE = r"\u0000"
# More than the longest content can hold, if it holds nothing else; each may become an object.
_MAX_VALUES = 150_000
_VERSION = "2.0"
_OBJECTS = ("arguments", "capabilities", "_meta")
_MAX_HEAD_BYTES = 200
_MAX_NAME = 40
_ID = re.compile(rb'"id"\s*:\s*(?:(?P<number>\d{1,15})|"(?P<text>[^"\\]{1,100})")\s*[,}]')


@dataclass(frozen=True)
class Refusal:
    """The answer to what is no message."""

    error: JSONRPCError


def has_too_many_values(raw: bytes) -> bool:
    """Whether a JSON text could take memory out of all proportion to any message for the diary."""
    return sum(map(raw.count, (b",", b"[", b"{"))) > _MAX_VALUES


def decode_json(raw: bytes) -> str:
    r"""A JSON text, with U+0000 for whatever no string may hold.

    Bytes that are no UTF-8 and escapes of lone surrogates become `\\u0000`, which every string
    field refuses by name. Readers of JSON would drop the whole message without telling.
    """
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        text = re.sub(
            "[\udc80-\udcff]", lambda _: _NUL_ESCAPE, raw.decode("utf-8", "surrogateescape")
        )
    if "\\u" not in text:
        return text
    return _ESCAPE.sub(lambda found: _NUL_ESCAPE if found["lone"] else found[0], text)


def read_message(raw: bytes) -> JSONRPCMessage | Refusal | None:
    """The message that `raw` is, or what to answer instead.

    Empty lists in place of objects, which is what PHP makes of those, are taken for empty objects.
    `NaN` and `Infinity`, which Python's clients may send, are read: the tool refuses them by name.

    Returns:
        `None` for what nobody waits for: a notification or an answer that is not well formed.
    """
    value = _parse(decode_json(raw))
    if isinstance(value, Refusal):
        return value
    if isinstance(value, list):
        return refuse("Invalid request: send each message by itself.")
    if not isinstance(value, dict):
        return refuse("Invalid request: a message is a JSON object.")
    value = _with_objects(value)
    if "method" in value and "id" in value and _readable_id(value) is None:
        return refuse(
            'Invalid request: "id" must be an integer, or a string without NUL and lone surrogates.'
        )
    try:
        return jsonrpc_message_adapter.validate_python(value, by_name=False)
    except ValidationError:
        return _refusal(value)


def has_envelope(request: JSONRPCRequest) -> bool:
    """Whether a request says for itself which version of the protocol it is of.

    `initialize` asks for one, whatever else it says.
    """
    meta: object = (request.params or {}).get("_meta")
    is_said = isinstance(meta, dict) and PROTOCOL_VERSION_META_KEY in meta
    return is_said and request.method != "initialize"


def as_read(raw: bytes, message: JSONRPCMessage) -> bytes:
    """The text of the message that `read_message` made of it, for a reader of its own."""
    text = decode_json(raw)
    if "[]" not in text and not _has_repeated(message):
        return text.encode()
    value = cast("dict[str, JsonValue]", _DECODER.decode(text))
    return json.dumps(_with_objects(value)).encode()


def _has_repeated(message: JSONRPCMessage) -> bool:
    params = message.params if isinstance(message, JSONRPCRequest) else None
    arguments = (params or {}).get("arguments")
    return isinstance(arguments, dict) and REPEATED in arguments.values()


def _with_objects(message: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """The message, with empty objects where an empty list can be nothing else."""
    params = message.get("params")
    if params == []:
        return {**message, "params": {}}
    if not isinstance(params, dict) or [] not in (params.get(name) for name in _OBJECTS):
        return message
    empty: dict[str, JsonValue] = {name: {} for name in _OBJECTS if params.get(name) == []}
    return {**message, "params": {**params, **empty}}


def refuse(
    message: str, code: int = INVALID_REQUEST, request_id: str | int | None = None
) -> Refusal:
    """The error that JSON-RPC has for what is no message."""
    error = ErrorData(code=code, message=message)
    return Refusal(JSONRPCError(jsonrpc="2.0", id=request_id, error=error))


def find_id(raw: bytes) -> str | int | None:
    """The id that a message begins with, of one that is too much to be read."""
    found = _ID.search(raw[:_MAX_HEAD_BYTES])
    if found is None:
        return None
    return (
        found["text"].decode(errors="replace") if found["number"] is None else int(found["number"])
    )


def _parse(text: str) -> JsonValue | Refusal:
    try:
        value = cast("JsonValue", _DECODER.decode(text))
    except (ValueError, RecursionError):
        return refuse("Parse error: this is not JSON.", PARSE_ERROR)
    return _refuse_repeated(value) or value


def _unambiguous(pairs: list[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
    """Readers would take different values for a name that stands there twice: it gets neither."""
    value = dict(pairs)
    if len(value) != len(pairs):
        times = Counter(name for name, _ in pairs)
        value |= {name: REPEATED for name, count in times.items() if count > 1}
    return value


_DECODER = json.JSONDecoder(object_pairs_hook=_unambiguous)


def _refuse_repeated(value: JsonValue) -> Refusal | None:
    """Of its arguments a tool says it itself; what the rest of the message has twice, this does."""
    if not isinstance(value, dict):
        return None
    params = value.get("params")
    parts = [value]
    if isinstance(params, dict):
        is_call = value.get("method") == "tools/call"
        parts += [params, *(
            part
            for name, part in params.items()
            if isinstance(part, dict) and not (is_call and name == "arguments")
        )]  # fmt: skip
    repeated = [name for part in parts for name, given in part.items() if given == REPEATED]
    if not repeated:
        return None
    named = json.dumps(repeated[0]) if len(repeated[0]) <= _MAX_NAME else "a name"
    request_id = None if value.get("id") == REPEATED else _readable_id(value)
    return refuse(f"Invalid request: an object has {named} twice.", request_id=request_id)


def _refusal(value: dict[str, JsonValue]) -> Refusal | None:
    if "id" not in value if "method" in value else {"result", "error"} & value.keys():
        return None
    request_id = _readable_id(value)
    if value.get("jsonrpc") != _VERSION:
        told = f'Invalid request: "jsonrpc" must be "{_VERSION}".'
    elif not isinstance(value.get("method"), str):
        told = 'Invalid request: "method" must be a string.'
    else:
        told = 'Invalid params: "params" must be an object.'
        return refuse(told, INVALID_PARAMS, request_id)
    return refuse(told, INVALID_REQUEST, request_id)


def _readable_id(value: dict[str, JsonValue]) -> str | int | None:
    match value.get("id"):
        case bool():
            return None
        case str(request_id) if "\0" in request_id:
            # Whoever sent a lone surrogate would not know its own id again.
            return None
        case str() | int() as request_id:
            return request_id
        case _:
            return None
