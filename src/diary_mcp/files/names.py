"""Keys and file names: which file an entry is exported to, and which entry a file is."""

import itertools
import re
import unicodedata
from collections.abc import Generator, Iterable
from urllib.parse import unquote
from uuid import UUID

from diary_mcp.domain.fields import EntryId, visible
from diary_mcp.service.archive.supersession import base_name
from diary_mcp.service.ports.archive import TitledReference
from diary_mcp.service.ports.entries import EntryReference

SUFFIX = ".md"
"""Of what is exported; all of `SUFFIXES` are read."""

SUFFIXES = (".md", ".markdown")
_MAX_NAME_BYTES = 255 - len(SUFFIX)
_MAX_LABEL_CHARACTERS = 255
_MAX_TITLE = 50
"""Characters, of at most four bytes: together with the rest less than a name can have."""
_ID_VERSION = 7
_KEPT = b"abcdefghijklmnopqrstuvwxyz0123456789-_."
# What Windows allows in no name, beside what no system does.
_REFUSED = frozenset('/\\<>:"|?*')
_DEVICE = re.compile(
    r"(?:con|prn|aux|nul|(?:com|lpt)[\d¹²³]|con(?:in|out)\$) *(?:\.|\Z)", re.IGNORECASE
)
_WIKI_LINK = re.compile(r"\[\[([^\[\]|#^]+)[^\[\]]*\]\]")
_MARKDOWN_LINK = re.compile(r"\[[^\]]*\]\(<?([^()<>]+?)>?\)")


def file_names(references: Iterable[EntryReference]) -> dict[EntryId, str]:
    """A file name without `.md` for each entry, no two alike on any file system.

    The key itself where it can be a file name on every system, else the key with what cannot be
    percent-encoded, else all of it, else the id. The outcome depends on the entries alone, not on
    their order.
    """
    names: dict[EntryId, str] = {}
    taken: set[str] = set()
    for reference in sorted(references, key=_precedence):
        name = next(name for name in _candidates(reference) if _folded(name) not in taken)
        taken.add(_folded(name))
        names[reference.id] = name
    return names


def titled_names(references: Iterable[TitledReference]) -> dict[EntryId, str]:
    """Likewise, but day and title in place of an id, for people to read.

    Such a file says its id, so that the name is not taken for a key.
    """
    listed = list(references)
    names = file_names(listed)
    taken = {_folded(names[each.id]) for each in listed if each.key is not None}
    for reference in sorted(listed, key=lambda each: each.id):
        if reference.key is None:
            spoken = _spoken(reference)
            numbered = (f"{spoken} {number}" for number in itertools.count(2))
            name = next(
                name for name in itertools.chain([spoken], numbered) if _folded(name) not in taken
            )
            taken.add(_folded(name))
            names[reference.id] = name
    return names


def _spoken(reference: TitledReference) -> str:
    first = next((line for line in reference.title.splitlines() if line.strip()), "")
    words = re.sub(r"[^\w\s.,()'&+=@-]", " ", first.replace("\0", " "))
    title = " ".join(words.split())[:_MAX_TITLE].strip(" .-")
    return f"{reference.date:%Y-%m-%d} {title}".strip()


def file_name(reference: EntryReference) -> str:
    """The file name without `.md` of an entry that clashes with no other."""
    return next(_candidates(reference))


def folder_name(name: str) -> str:
    """A folder's name that every system takes, for the name of a diary."""
    return _portable(name)


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
    is_named_so = visible(name) in {visible(key), base_name(visible(key))}
    is_id = find_entry_id(name.partition("~")[0]) is not None
    return is_named_so or is_id or name in {_encoded(key), _portable(key)}


def read_name(name: str) -> str:
    """The key of a file of this name: as people see it, and as it was before an export."""
    if "%" in name:
        key = unquote(name, errors="replace")
        if not _is_safe(key) and _portable(key) == name:
            return visible(key)
    return visible(name)


def without_suffix(name: str) -> str:
    """The name of a Markdown file without `.md` or `.markdown`."""
    suffix = next((each for each in SUFFIXES if name.lower().endswith(each)), "")
    return name[: len(name) - len(suffix)]


def find_claim(text: str) -> str | None:
    """The entry that `supersedes` names or links to, without `.md`; `None` where it is none."""
    name = text.strip()
    claim = visible(without_suffix((find_linked(name) or name).strip()))
    is_name = 0 < len(claim) <= _MAX_LABEL_CHARACTERS
    return claim if is_name and is_storable(claim) else None


def find_linked(text: str) -> str | None:
    """The file that a link such as `[[folder/note#part|words]]` or `[words](note.md)` names."""
    return next(iter(find_links(text)), None)


def find_links(text: str) -> list[str]:
    """Likewise of several links, all of one kind."""
    wiki = [link[1] for link in _WIKI_LINK.finditer(text)]
    return wiki or [unquote(link[1]) for link in _MARKDOWN_LINK.finditer(text)]


def is_storable(text: str) -> bool:
    """Whether PostgreSQL can hold it: no NUL, no lone surrogate."""
    return "\0" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


def _candidates(reference: EntryReference) -> Generator[str]:
    key = reference.key
    if key is not None:
        if _is_safe(key):
            yield key
        elif len((portable := _portable(key)).encode()) <= _MAX_NAME_BYTES:
            yield portable
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
    is_plain = not any(map(_is_refused, key))
    is_name = not key.startswith(".") and not key.endswith((".", " ")) and not _DEVICE.match(key)
    return is_plain and is_name and len(key.encode()) <= _MAX_NAME_BYTES


def _is_refused(character: str) -> bool:
    return character in _REFUSED or unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"}


def _portable(key: str) -> str:
    """The key with nothing encoded but what no name can have, and `%` itself."""
    first = 0 if key.startswith(".") or _DEVICE.match(key) else None
    last = len(key) - 1 if key.endswith((".", " ")) else None
    return "".join(
        _percent(character)
        if character == "%" or _is_refused(character) or at in {first, last}
        else character
        for at, character in enumerate(key)
    )


def _percent(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode(errors="surrogatepass"))


def _encoded(key: str) -> str:
    # Only small letters stay, so that two encoded keys never differ by case alone.
    encoded = "".join(
        chr(byte) if byte in _KEPT else f"%{byte:02X}"
        for byte in key.encode(errors="surrogatepass")
    )
    if encoded.startswith(".") or _DEVICE.match(encoded):
        encoded = _percent(encoded[0]) + encoded[1:]
    return f"{encoded[:-1]}%2E" if encoded.endswith(".") else encoded


def _folded(name: str) -> str:
    """Equal for names that some file systems take for one: macOS ignores case and composition."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", name).casefold())
