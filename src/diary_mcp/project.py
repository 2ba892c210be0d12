"""Which project a folder belongs to: what `DIARY_MCP_DIARY=auto` is named after.

Git is not asked: it need not be installed, and a server starts quicker without it. What is read
of a repository is where its configuration lies, and the address of its remote.

Source: gitrepository-layout(5), git-config(1), "Syntax".
"""

import hashlib
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

from diary_mcp.domain.fields import NAME_PATTERN

_NAMELESS = "main"
_MAX_CHARACTERS = 64
_HASH_CHARACTERS = 8
_MAX_CONFIG_BYTES = 1_000_000
_SECTION = re.compile(r'\s*\[\s*([\w.-]+)(?:\s+"((?:[^"\\]|\\.)*)")?\s*\](.*)')
_URL = re.compile(r"\s*url\s*=\s*(.*?)\s*", re.IGNORECASE)


def name_project(folder: Path) -> str:
    """The name of a diary for the project that `folder` is in; the same in all its clones.

    That is the last part of the remote's address, or else the top folder of the repository; where
    there is no repository, the folder itself. Never raises.
    """
    try:
        folder = folder.resolve()
        for each in (folder, *folder.parents):
            repository = _find_repository(each)
            if repository is not None:
                return as_diary_name(_name_repository(each, repository))
    except (OSError, RuntimeError):
        pass  # it may not be read, or links in a circle
    return as_diary_name(folder.name)


def as_diary_name(text: str) -> str:
    """`text` as a valid name of a diary; what cannot be spelled in one is told apart by a hash."""
    plain = "".join(
        character
        for character in unicodedata.normalize("NFKD", text.strip().casefold())
        if not unicodedata.combining(character)
    )
    name = re.sub(r"[^a-z0-9._-]+", "-", plain).strip("-._")
    is_lossless = not any(each.isalnum() and not each.isascii() for each in plain)
    if is_lossless and re.fullmatch(NAME_PATTERN, name):
        return name
    if not plain.strip("-._/\\ "):
        return _NAMELESS
    digest = hashlib.sha256(plain.encode("utf-8", "surrogatepass")).hexdigest()[:_HASH_CHARACTERS]
    beginning = name[: _MAX_CHARACTERS - _HASH_CHARACTERS - 1].rstrip("-._")
    return f"{beginning or 'project'}-{digest}"


def _find_repository(folder: Path) -> Path | None:
    """The repository's own directory, where `folder` is the top of one of its working trees."""
    path = folder / ".git"
    if path.is_dir():
        return path if (path / "HEAD").is_file() else None
    if not path.is_file():
        return None
    # A linked working tree, a submodule, or a repository kept elsewhere.
    word, _, place = _read(path).partition(":")
    return folder / place.strip() if word == "gitdir" and place.strip() else None


def _name_repository(top: Path, repository: Path) -> str:
    link = repository / "commondir"
    shared = (repository / _read(link).strip()).resolve() if link.is_file() else None
    configuration = (shared or repository) / "config"
    remote = _find_remote(_read(configuration)) if configuration.is_file() else None
    if remote is not None:
        return remote
    if shared is None:
        return top.name
    # The working tree was linked to this one: `.git`, or a bare one that is hidden beside it.
    hidden = shared.name.startswith(".")
    return shared.parent.name if hidden else shared.name.removesuffix(".git")


def _find_remote(configuration: str) -> str | None:
    """What the remote's address ends in: of `origin`, or else of the first there is."""
    names: dict[str, str] = {}
    for remote, url in _list_remotes(configuration):
        name = _last_part(url)
        if name:
            names.setdefault(remote, name)
    return names.get("origin") or next(iter(names.values()), None)


def _list_remotes(configuration: str) -> Iterator[tuple[str, str]]:
    remote: str | None = None
    for each in re.sub(r"\\\r?\n", "", configuration).splitlines():
        line = each
        section = _SECTION.fullmatch(line)
        if section is not None:
            word, name, line = section.groups()
            remote = name if word.lower() == "remote" else None
        url = _URL.fullmatch(line)
        if url is not None and remote is not None:
            yield remote, _unquote(url[1])


def _unquote(value: str) -> str:
    quoted = re.match(r'"((?:[^"\\]|\\.)*)"', value)
    if quoted is not None:
        return re.sub(r"\\(.)", r"\1", quoted[1])
    return re.split(r"\s*[#;]", value, maxsplit=1)[0]


def _last_part(url: str) -> str:
    """What an address or a path ends in, without `.git`: `project` of `host:owner/project.git`."""
    path = unquote(url.partition("?")[0]) if "://" in url else url
    parts = [part.removesuffix(".git") for part in re.split(r"[/\\:]", path)]
    return next((part for part in reversed(parts) if part.strip(". ")), "")


def _read(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(_MAX_CONFIG_BYTES).decode("utf-8", "replace")
