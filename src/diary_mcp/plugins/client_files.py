"""The clients' own files: what of ours stands in them, put in and taken out, all else as it was."""

import json
import os
import re
import shutil
import sys
import tempfile
import tomllib
from collections.abc import Callable, Mapping, MutableMapping
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, cast

from pydantic import JsonValue, TypeAdapter, ValidationError

from diary_mcp.domain.errors import ConflictError, InvalidArgumentError
from diary_mcp.plugins.hook_process import ENDING

InstalledClient = Literal["claude-desktop", "claude-code", "codex", "vscode", "cursor", "gemini"]
Object = dict[str, JsonValue]
Edit = Callable[[Object], None]

SERVER = "diary"
HOOK_EVENTS = ("SessionStart", "Stop", "SessionEnd")
"""Those of Claude Code and Codex."""

_TOML_SECTION = "mcp_servers"
# More than a hook takes, see `hook_process`: it ends by itself.
_HOOK_TIMEOUT_S = 10
# Codex gives the end of a session no more, and warns of more.
_END_TIMEOUT_S = 3
_OUR_HOOK = re.compile(r"diary[_-]mcp hook (?:claude-code|codex) ")
_PLUGIN = "diary@diary-mcp"
# Windows editors begin a file with it.
_BYTE_ORDER_MARK = "\ufeff"
_OBJECT = TypeAdapter(dict[str, JsonValue])
_PLUGIN_FOLDER = Path(__file__).resolve().parent / "claude-code"


@dataclass(frozen=True)
class Change:
    """What a file says, and what it is to say; `None` is no file."""

    path: Path
    before: str | None
    after: str | None

    @property
    def is_one(self) -> bool:
        return self.before != self.after


@dataclass(frozen=True)
class Places:
    """Where the clients keep their files on this machine."""

    home: Path
    environment: Mapping[str, str]
    platform: str = sys.platform

    @property
    def claude_folder(self) -> Path:
        return self._folder("CLAUDE_CONFIG_DIR", ".claude")

    @property
    def claude_servers(self) -> Path:
        is_moved = bool(self.environment.get("CLAUDE_CONFIG_DIR"))
        return (self.claude_folder if is_moved else self.home) / ".claude.json"

    @property
    def codex_folder(self) -> Path:
        return self._folder("CODEX_HOME", ".codex")

    def servers(self, client: InstalledClient) -> tuple[Path, str]:
        """The file with the client's servers, and the section of it that they stand in."""
        match client:
            case "claude-code":
                return self.claude_servers, "mcpServers"
            case "claude-desktop":
                return self._applications / "Claude" / "claude_desktop_config.json", "mcpServers"
            case "vscode":
                return self._applications / "Code" / "User" / "mcp.json", "servers"
            case "cursor":
                return self.home / ".cursor" / "mcp.json", "mcpServers"
            case "gemini":
                return self.home / ".gemini" / "settings.json", "mcpServers"
            case "codex":
                return self.codex_folder / "config.toml", _TOML_SECTION

    def holds(self, client: InstalledClient) -> bool:
        """Whether the client has been on this machine: it is in PATH, or its folder is there."""
        traces: Mapping[InstalledClient, tuple[Path, str | None]] = {
            "claude-desktop": (self._applications / "Claude", None),
            "claude-code": (self.claude_folder, "claude"),
            "codex": (self.codex_folder, "codex"),
            "vscode": (self._applications / "Code", "code"),
            "cursor": (self.home / ".cursor", "cursor"),
            "gemini": (self.home / ".gemini", "gemini"),
        }
        folder, program = traces[client]
        path = self.environment.get("PATH", os.defpath)
        is_in_path = program is not None and shutil.which(program, path=path) is not None
        return is_in_path or folder.is_dir()

    @property
    def _applications(self) -> Path:
        if self.platform == "darwin":
            return self.home / "Library" / "Application Support"
        return self._folder("XDG_CONFIG_HOME", ".config")

    def _folder(self, variable: str, name: str) -> Path:
        return Path(self.environment.get(variable) or self.home / name).expanduser()


def plan_install(
    client: InstalledClient, places: Places, server: Object, hook: Callable[[str], str]
) -> list[Change]:
    """What makes the client start the server, and run the hooks where it has any.

    Args:
        client: which one.
        places: where its files are.
        server: how the client starts the server, as its file says it.
        hook: the command for an event of the client.

    Raises:
        InvalidArgumentError: a file is there that cannot be read, or holds something else.
        ConflictError: the plugin is there already, from a marketplace.
    """
    path, section = places.servers(client)
    servers = _edited(path, lambda whole: _section(whole, section, path).update({SERVER: server}))
    hooks = _hooks_file(client, places)
    if hooks is None:
        return [servers]
    commands = {event: hook(event) for event in HOOK_EVENTS}
    return [
        *_skill(client, places, is_wanted=True),
        servers,
        _edited(hooks, lambda whole: _add_hooks(whole, commands, hooks)),
    ]


def plan_uninstall(client: InstalledClient, places: Places) -> list[Change]:
    """What takes the server, and the hooks, out again.

    Raises:
        InvalidArgumentError: a file is there that cannot be read, or holds something else.
    """
    path, section = places.servers(client)
    servers = _edited(path, lambda whole: _remove_server(whole, section, path))
    hooks = _hooks_file(client, places)
    if hooks is None:
        return [servers]
    return [_edited(hooks, _remove_hooks), servers, *_skill(client, places, is_wanted=False)]


def apply(change: Change) -> Path | None:
    """Writes the change, all of it or nothing; where the file as it was is kept.

    Raises:
        OSError: it cannot be written.
    """
    path = change.path.resolve()  # a link stays one
    if change.after is None:
        # Only a file that is ours to the letter is taken away, with a folder that it leaves empty.
        path.unlink()
        with suppress(OSError):
            path.parent.rmdir()
        return None
    kept = None if change.before is None else _keep(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".diary-mcp-", delete=False) as file:
        file.write(change.after.encode())
        file.flush()
        os.fsync(file.fileno())
    written = Path(file.name)
    if kept is not None:
        shutil.copymode(kept, written)
    written.replace(path)
    return kept


def _keep(path: Path) -> Path:
    kept = path.with_name(f"{path.name}.{datetime.now(UTC):%Y%m%dT%H%M%S%f}.bak")
    shutil.copy2(path, kept)
    return kept


def _hooks_file(client: InstalledClient, places: Places) -> Path | None:
    if client == "claude-code":
        return places.claude_folder / "settings.json"
    return places.codex_folder / "hooks.json" if client == "codex" else None


def to_toml(whole: Object) -> str:
    import tomlkit  # noqa: PLC0415  # one client's

    return tomlkit.dumps(whole)


def _skill(client: InstalledClient, places: Places, *, is_wanted: bool) -> list[Change]:
    """The skill is a file of ours; one that somebody has changed is not taken away."""
    folder = places.claude_folder if client == "claude-code" else places.codex_folder
    path = folder / "skills" / "diary" / "SKILL.md"
    ours = (_PLUGIN_FOLDER / "skills" / "diary" / "SKILL.md").read_text("utf-8")
    before = _read(path)
    if is_wanted:
        return [Change(path, before, ours)]
    return [Change(path, before, None)] if before == ours else []


def _edited(path: Path, edit: Edit) -> Change:
    before = _read(path)
    edited = _edit_toml if path.suffix == ".toml" else _edit_json
    text = before or ""
    mark = _BYTE_ORDER_MARK if text.startswith(_BYTE_ORDER_MARK) else ""
    after = mark + edited(text.removeprefix(mark), edit, path)
    return Change(path, before, before if before is None and not after.strip("{}\n ") else after)


def _read(path: Path) -> str | None:
    try:
        return path.read_bytes().decode()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidArgumentError(
            f"{path} cannot be read: {error}. Nothing was changed."
        ) from error


def _edit_json(text: str, edit: Edit, path: Path) -> str:
    try:
        whole = _OBJECT.validate_json(text) if text.strip() else {}
    except ValidationError as error:
        raise InvalidArgumentError(
            f"{path} is not a JSON object without comments, and was left as it is. Add by hand "
            "what `diary-mcp config CLIENT` prints, or correct the file."
        ) from error
    before = json.dumps(whole)
    edit(whole)
    if json.dumps(whole) == before:
        return text
    indent = re.match(r"\s*\{\s*\n([ \t]+)", text)
    written = json.dumps(whole, indent=indent[1] if indent else 2, ensure_ascii=False) + "\n"
    return written.replace("\n", "\r\n") if "\r\n" in text else written


def _edit_toml(text: str, edit: Edit, path: Path) -> str:
    """Changes the servers alone: comments, order and all else stay as they are."""
    import tomlkit  # noqa: PLC0415  # one client's

    try:
        told = tomllib.loads(text).get(_TOML_SECTION)
        document: MutableMapping[str, object] = tomlkit.parse(text)
    except ValueError as error:
        raise InvalidArgumentError(
            f"{path} is not TOML, and was left as it is: {error}. Correct it and try again."
        ) from error
    whole: Object = {} if told is None else {_TOML_SECTION: told}
    before = deepcopy(whole)
    edit(whole)
    if whole == before:
        return text
    old, new = _servers(before), _servers(whole)
    table = document.setdefault(_TOML_SECTION, tomlkit.table(is_super_table=True))
    if isinstance(table, MutableMapping):
        servers = cast("MutableMapping[str, object]", table)
        for name in old.keys() - new.keys():
            del servers[name]
        servers.update({name: value for name, value in new.items() if old.get(name) != value})
    if not new:
        del document[_TOML_SECTION]
    return tomlkit.dumps(document)


def _servers(whole: Object) -> Object:
    servers = whole.get(_TOML_SECTION, {})
    return servers if isinstance(servers, dict) else {}


def _section(whole: Object, name: str, path: Path) -> Object:
    section = whole.setdefault(name, {})
    if not isinstance(section, dict):
        raise InvalidArgumentError(f"{path} holds no object under {name}, and was left as it is.")
    return section


def _remove_server(whole: Object, section: str, path: Path) -> None:
    if section in whole:
        servers = _section(whole, section, path)
        servers.pop(SERVER, None)
        if not servers:
            del whole[section]


def _add_hooks(whole: Object, commands: Mapping[str, str], path: Path) -> None:
    plugins = whole.get("enabledPlugins")
    if isinstance(plugins, dict) and plugins.get(_PLUGIN) is True:
        raise ConflictError(
            f"Claude Code has the plugin {_PLUGIN} already, which brings server, hooks and skill. "
            f"Remove it first: claude plugin uninstall {_PLUGIN}"
        )
    ours = {event: _our_hook(event, command) for event, command in commands.items()}
    if _present(whole) == list(ours.values()):
        return
    _remove_hooks(whole)
    hooks = whole.setdefault("hooks", {})
    if not isinstance(hooks, dict):
        raise InvalidArgumentError(f"{path} holds no object under hooks, and was left as it is.")
    for event, ours_there in ours.items():
        groups = hooks.setdefault(event, [])
        if not isinstance(groups, list):
            raise InvalidArgumentError(f"{path} holds no array under hooks.{event}.")
        groups.append({"hooks": [ours_there]})


def _our_hook(event: str, command: str) -> Object:
    timeout_s = _END_TIMEOUT_S if event == ENDING else _HOOK_TIMEOUT_S
    return {"type": "command", "command": command, "timeout": timeout_s}


def _remove_hooks(whole: Object) -> None:
    hooks = whole.get("hooks")
    if not isinstance(hooks, dict):
        return
    for event, groups in list(hooks.items()):
        if not isinstance(groups, list) or not any(map(_has_ours, groups)):
            continue
        left = [_without_ours(group) if _has_ours(group) else group for group in groups]
        hooks[event] = [group for group in left if group is not None]
        if not hooks[event]:
            del hooks[event]
    if not hooks:
        del whole["hooks"]


def _present(whole: Object) -> list[JsonValue]:
    """Our hooks as they stand there, in the order of the events."""
    hooks = whole.get("hooks")
    groups = [hooks.get(event) for event in HOOK_EVENTS] if isinstance(hooks, dict) else []
    return [
        hook
        for each in groups
        if isinstance(each, list)
        for group in each
        for hook in _hooks_of(group)
        if _is_ours(hook)
    ]


def _has_ours(group: JsonValue) -> bool:
    return any(map(_is_ours, _hooks_of(group)))


def _without_ours(group: JsonValue) -> JsonValue:
    """The group without our hooks; `None` where there is nothing else in it."""
    left = [hook for hook in _hooks_of(group) if not _is_ours(hook)]
    return {**group, "hooks": left} if left and isinstance(group, dict) else None


def _hooks_of(group: JsonValue) -> list[JsonValue]:
    hooks = group.get("hooks") if isinstance(group, dict) else None
    return hooks if isinstance(hooks, list) else []


def _is_ours(hook: JsonValue) -> bool:
    return isinstance(hook, dict) and bool(_OUR_HOOK.search(str(hook.get("command"))))
