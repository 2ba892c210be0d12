"""Keys and file names: which file an entry is exported to, and which entry a file is."""

import itertools
import unicodedata
from collections.abc import Generator, Iterable
from uuid import UUID

from diary_mcp.domain.fields import EntryId
from diary_mcp.service.ports.entries import EntryReference

SUFFIX = ".md"
_MAX_NAME_BYTES = 255 - len(SUFFIX)
_MAX_LABEL_CHARACTERS = 255
_ID_VERSION = 7
_KEPT = b"abcdefghijklmnopqrstuvwxyz0123456789-_."


def file_names(references: Iterable[EntryReference]) -> dict[EntryId, str]:
    """A file name without `.md` for each entry, no two alike on any file system.

    The key itself where it can be a file name, else the key percent-encoded, else the id. The
    outcome depends on the entries alone, not on their order.
    """
    names: dict[EntryId, str] = {}
    taken: set[str] = set()
    for reference in sorted(references, key=_precedence):
        name = next(name for name in _candidates(reference) if _folded(name) not in taken)
        taken.add(_folded(name))
        names[reference.id] = name
    return names


def file_name(reference: EntryReference) -> str:
    """The file name without `.md` of an entry that clashes with no other."""
    return next(_candidates(reference))


def find_entry_id(name: str) -> EntryId | None:
    """The id that a file name without `.md` spells, in the one form that an export writes."""
    try:
        entry_id = UUID(name)
    except ValueError:
        return None
    is_written_so = str(entry_id) == name and entry_id.version == _ID_VERSION
    return EntryId(entry_id) if is_written_so else None


def stands_for(name: str, key: str) -> bool:
    """Whether an export may have given the file `name` to an entry with `key`.

    Only then is a `key` in the front matter the entry's: other programs use that word too.
    """
    return name == _encoded(key) or find_entry_id(name.partition("~")[0]) is not None


def find_claim(text: str) -> str | None:
    """The entry that `supersedes` names, without `.md`; `None` where it can name none."""
    claim = text.strip()
    if claim.lower().endswith(SUFFIX):
        claim = claim[: -len(SUFFIX)]
    is_storable = all(unicodedata.category(character) != "Cs" for character in claim)
    is_name = 0 < len(claim) <= _MAX_LABEL_CHARACTERS and "\0" not in claim
    return claim if is_name and is_storable else None


def _candidates(reference: EntryReference) -> Generator[str]:
    key = reference.key
    if key is not None:
        if _is_safe(key):
            yield key
        if len(encoded := _encoded(key)) <= _MAX_NAME_BYTES:
            yield encoded
    yield str(reference.id)
    for number in itertools.count(1):
        yield f"{reference.id}~{number}"


def _precedence(reference: EntryReference) -> tuple[bool, bool, str]:
    # Ids first: an entry without a key has no other name. Small letters before capitals.
    key = reference.key
    return (key is not None, key is None or not _is_safe(key), (key or "").swapcase())


def _is_safe(key: str) -> bool:
    is_plain = not any(
        character in "/\\" or unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"}
        for character in key
    )
    return is_plain and not key.startswith(".") and len(key.encode()) <= _MAX_NAME_BYTES


def _encoded(key: str) -> str:
    # Only small letters stay, so that two encoded keys never differ by case alone.
    encoded = "".join(
        chr(byte) if byte in _KEPT else f"%{byte:02X}"
        for byte in key.encode(errors="surrogatepass")
    )
    return encoded.replace(".", "%2E", 1) if encoded.startswith(".") else encoded


def _folded(name: str) -> str:
    """Equal for names that some file systems take for one: macOS ignores case and composition."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", name).casefold())
