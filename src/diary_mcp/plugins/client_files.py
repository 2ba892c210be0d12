"""The clients' own files: what of ours stands in them, put in and taken out, all else as it was."""

import glob
import json
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import JsonValue

from diary_mcp.domain.errors import ConflictError, InvalidArgumentError
from diary_mcp.plugins.client_formats import SERVER, TOML_SECTION, Edit, Object, edited_text
from diary_mcp.plugins.hook_process import ENDING

InstalledClient = Literal["claude-desktop", "claude-code", "codex", "vscode", "cursor", "gemini"]

SERVE = ("-m", "diary_mcp", "serve")
"""How the interpreter starts it, wherever `install` or `config` says so."""

HOOK_EVENTS = ("SessionStart", "Stop", "SessionEnd")
"""Those of Claude Code and Codex."""

# More than a hook takes, see `hook_process`: it ends by itself.
_HOOK_TIMEOUT_S = 10
# Codex gives the end of a session no more, and warns of more.
_END_TIMEOUT_S = 3
_OUR_HOOK = re.compile(r"diary[_-]mcp hook (?:claude-code|codex) ")
_SECTIONS = frozenset({"mcpServers", "servers", TOML_SECTION, "hooks"})
_PLUGIN = "diary@diary-mcp"
_PREFIX = "DIARY_MCP_"
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
                return self.codex_folder / "config.toml", TOML_SECTION

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
    client: InstalledClient,
    places: Places,
    server: Object,
    hook: Callable[[str], str],
    *,
    is_forced: bool = False,
) -> list[Change]:
    """What makes the client start the server, and run the hooks where it has any.

    Args:
        client: which one.
        places: where its files are.
        server: how the client starts the server, as its file says it.
        hook: the command for an event of the client.
        is_forced: whether it replaces a server of this name that somebody else has put there.

    Raises:
        InvalidArgumentError: a file is there that cannot be read, or holds something else.
        ConflictError: the plugin is there already, from a marketplace, or another server is.
    """
    path, section = places.servers(client)
    servers = _edited(
        path, lambda whole: _add_server(whole, section, path, server, is_forced=is_forced)
    )
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
    servers = _taken_out(path, lambda whole: _remove_server(whole, section, path))
    hooks = _hooks_file(client, places)
    if hooks is None:
        return [servers]
    return [_taken_out(hooks, _remove_hooks), servers, *_skill(client, places, is_wanted=False)]


def find_other_server(client: InstalledClient, places: Places) -> Path | None:
    """The file with a server of our name that an installation did not write, if there is one.

    Raises:
        InvalidArgumentError: it cannot be read.
    """
    path, section = places.servers(client)
    found: list[JsonValue] = []

    def look(whole: Object) -> None:
        servers = whole.get(section)
        found.append(servers.get(SERVER) if isinstance(servers, dict) else None)

    _edited(path, look)
    return path if found[0] is not None and not _is_our_server(found[0]) else None


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
    after = edited_text(before or "", edit, path)
    return Change(path, before, before if before is None and not after.strip("{}\n ") else after)


def _taken_out(path: Path, edit: Edit) -> Change:
    """The file without what is ours; as an installation has kept it, where all else is the same.

    Where nothing is left that an installation did not write, there was no file.
    """
    change = _edited(path, edit)
    if not change.is_one or change.after is None:
        return change
    real = path.resolve()
    for kept in sorted(real.parent.glob(f"{glob.escape(real.name)}.*.bak"), reverse=True):
        before = _read(kept) or ""
        with suppress(InvalidArgumentError):
            if _squeezed(before, path) == _squeezed(change.after, path):
                return replace(change, after=before)
    is_empty = not change.after.strip("{}\r\n ") and not path.is_symlink()
    return replace(change, after=None) if is_empty else change


def _squeezed(text: str, path: Path) -> tuple[str, str]:
    """The text without what an installation makes room with, and may have found there.

    And what it says, as white space in a string is more than room.
    """
    said: list[str] = []

    def drop(whole: Object) -> None:
        _drop_empty(whole)
        said.append(json.dumps(whole, sort_keys=True, default=repr))

    return "".join(edited_text(text, drop, path).split()), said[0]


def _drop_empty(whole: Object) -> None:
    for name in _SECTIONS & whole.keys():
        section = whole[name]
        if isinstance(section, dict):
            for event in HOOK_EVENTS:
                if section.get(event) == []:
                    del section[event]
            if not section:
                del whole[name]


def _read(path: Path) -> str | None:
    try:
        return path.read_bytes().decode()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidArgumentError(
            f"{path} cannot be read: {error}. Nothing was changed."
        ) from error


def _section(whole: Object, name: str, path: Path) -> Object:
    section = whole.setdefault(name, {})
    if not isinstance(section, dict):
        raise InvalidArgumentError(f"{path} holds no object under {name}, and was left as it is.")
    return section


def _add_server(
    whole: Object, section: str, path: Path, server: Object, *, is_forced: bool
) -> None:
    servers = _section(whole, section, path)
    if SERVER in servers and not _is_our_server(servers[SERVER]) and not is_forced:
        raise ConflictError(
            f"{path} has a server named {SERVER} that `diary-mcp install` did not write, and was "
            "left as it is. Rename it there, or replace it with --force."
        )
    present = servers.get(SERVER)
    is_ours = isinstance(present, dict) and _is_our_server(present)
    servers[SERVER] = _with_own_additions(server, present) if is_ours else server


def _with_own_additions(server: Object, present: JsonValue) -> Object:
    """What the person has added to our server, such as a time limit or a variable, stays."""
    if not isinstance(present, dict):
        return server
    names = present.get("env"), server.get("env")
    variables = [each if isinstance(each, dict) else {} for each in names]
    kept = {name: value for name, value in variables[0].items() if not name.startswith(_PREFIX)}
    return {**present, **server, "env": {**kept, **variables[1]}}


def _remove_server(whole: Object, section: str, path: Path) -> None:
    """One that somebody else has put there stays."""
    if section in whole:
        servers = _section(whole, section, path)
        if SERVER in servers and _is_our_server(servers[SERVER]):
            del servers[SERVER]
            if not servers:
                del whole[section]


def _is_our_server(server: JsonValue) -> bool:
    words = server.get("args") if isinstance(server, dict) else None
    return isinstance(words, list) and words[-len(SERVE) :] == list(SERVE)


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
