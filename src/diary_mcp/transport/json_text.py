"""JSON from the wire, with strings that every later reader can hold."""

import re

_ESCAPE = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"  # a pair: one character
    r"|(?P<lone>\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
    r"|\\."
)
_NUL_ESCAPE = r"\u0000"
# More than the longest content can hold, if it holds nothing else; each may become an object.
_MAX_VALUES = 150_000


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
