"""Text of others that names something, shown so that it cannot pretend to be something else.

A title or a tag may hold characters that turn the direction of what follows, that are not to be
seen, or that move the cursor: `x[U+202E]fdp.exe` would look like `xexe.pdf`. They are shown as
their code points.
"""

import re
from datetime import UTC, datetime
from unicodedata import category

from markupsafe import Markup, escape

_UNSEEN = frozenset(("Cc", "Cf", "Zl", "Zp"))
# Letters that look like nothing at all.
_FILLERS = frozenset("\u115f\u1160\u3164\uffa0")
# They join letters of Persian and Hindi, and the parts of an emoji.
_JOINERS = frozenset("\u200c\u200d")
_OVERRIDES = re.compile("[\u202a-\u202e\u2066-\u2069]")


def plain_name(text: object) -> str:
    """A name for where there can be no elements, such as the title of the window."""
    return "".join(map(_seen, str(text)))


def show_name(text: object) -> Markup:
    """A name as an element that keeps its direction to itself."""
    return Markup("<bdi>{}</bdi>").format(escape(plain_name(text)))


def show_overrides(text: str) -> str:
    """Prose or code, in which what overrides the direction of writing is to be seen."""
    return _OVERRIDES.sub(lambda found: _code_point(found.group()), text)


def format_minute(moment: datetime) -> str:
    """A time in UTC, to the minute."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M}"


def show_time(moment: datetime) -> Markup:
    """A time in UTC, to the minute, as an element that programs can read."""
    utc = moment.astimezone(UTC)
    return Markup('<time datetime="{}">{}</time>').format(utc.isoformat(), format_minute(moment))


def show_clock(moment: datetime) -> Markup:
    """The time of a day that is named already."""
    utc = moment.astimezone(UTC)
    return Markup('<time datetime="{}">{}</time>').format(utc.isoformat(), f"{utc:%H:%M}")


def _seen(character: str) -> str:
    is_unseen = category(character) in _UNSEEN and character not in _JOINERS
    return _code_point(character) if is_unseen or character in _FILLERS else character


def _code_point(character: str) -> str:
    return f"⟨U+{ord(character):04X}⟩"
