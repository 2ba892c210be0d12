"""What an installation changes in the clients' files, and what it leaves as it was."""

import json
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import pytest

from diary_mcp.domain.errors import ConflictError, InvalidArgumentError
from diary_mcp.plugins import jsonc
from diary_mcp.plugins.client_files import (
    HOOK_EVENTS,
    Change,
    InstalledClient,
    Places,
    apply,
    find_other_server,
    plan_install,
    plan_uninstall,
)
from diary_mcp.plugins.client_formats import Object, to_toml
from support.clients import Json

SERVER: Object = {
    "command": "python",
    "args": ["-P", "-m", "diary_mcp", "serve"],
    "env": {"DIARY_MCP_AGENT": "b"},
}
CLIENTS: tuple[InstalledClient, ...] = get_args(InstalledClient)
SETTINGS = """{
    "theme": "dark \u00e9",
    "hooks": {
        "Stop": [
            {
                "hooks": [
                    {
                        "type": "command",
                        "command": "say done"
                    }
                ]
            }
        ]
    }
}
"""
TOML = """# mine
model = "x"  # the one
since = 2026-01-31

[mcp_servers.other]
command = "other"

[profiles.a]
model = "y"
"""


def hook(event: str) -> str:
    return f"python -m diary_mcp hook claude-code {event}"


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path, {}, "linux")


def carry_out(changes: Sequence[Change]) -> list[Path | None]:
    return [apply(change) for change in changes if change.is_one]


@pytest.mark.parametrize("client", CLIENTS)
def test_installing_twice_changes_nothing_the_second_time(
    client: InstalledClient, places: Places
) -> None:
    carry_out(plan_install(client, places, SERVER, hook))

    again = plan_install(client, places, SERVER, hook)

    assert [change.path for change in again if change.is_one] == []


@pytest.mark.parametrize("client", CLIENTS)
def test_uninstalling_takes_out_all_of_it(client: InstalledClient, places: Places) -> None:
    carry_out(plan_install(client, places, SERVER, hook))
    carry_out(plan_uninstall(client, places))

    left = [path.read_text("utf-8") for path in places.home.rglob("*") if path.is_file()]

    assert not [change for change in plan_uninstall(client, places) if change.is_one]
    assert left == []


@pytest.mark.parametrize("client", CLIENTS)
def test_uninstalling_what_is_not_there_makes_nothing(
    client: InstalledClient, places: Places
) -> None:
    assert not [change for change in plan_uninstall(client, places) if change.is_one]


def test_what_else_stands_in_the_files_stays_to_the_letter(places: Places) -> None:
    settings, config = places.claude_folder / "settings.json", places.codex_folder / "config.toml"
    for path, text in ((settings, SETTINGS), (config, TOML)):
        path.parent.mkdir()
        path.write_text(text, "utf-8")
        path.chmod(0o640)

    for client in ("claude-code", "codex"):
        kept = carry_out(plan_install(client, places, SERVER, hook))
        assert [path.read_text("utf-8") for path in kept if path is not None] == [
            {"claude-code": SETTINGS, "codex": TOML}[client]
        ]
    installed = json.loads(settings.read_text("utf-8"))
    assert [group["hooks"][0]["command"] for group in installed["hooks"]["Stop"]] == [
        "say done",
        hook("Stop"),
    ]
    assert TOML.partition("[profiles")[0] in config.read_text("utf-8")
    for client in ("claude-code", "codex"):
        carry_out(plan_uninstall(client, places))

    assert (settings.read_text("utf-8"), config.read_text("utf-8")) == (SETTINGS, TOML)
    assert settings.stat().st_mode & 0o777 == 0o640


def test_another_installation_replaces_the_hooks_of_the_first(places: Places) -> None:
    carry_out(plan_install("claude-code", places, SERVER, hook))
    carry_out(plan_install("claude-code", places, SERVER, lambda event: f"env {hook(event)}"))

    hooks = json.loads((places.claude_folder / "settings.json").read_text("utf-8"))["hooks"]

    assert {event: [each["hooks"] for each in groups] for event, groups in hooks.items()} == {
        event: [[{"type": "command", "command": f"env {hook(event)}", "timeout": timeout_s}]]
        for event, timeout_s in zip(HOOK_EVENTS, (10, 10, 3), strict=True)
    }


@pytest.mark.parametrize(
    "text",
    ["// mine", "[]", '{"mcpServers": []}', "\ufeff{", '{"a": 1 "b": 2}'],
    ids=["a comment", "an array", "another section", "half", "no comma"],
)
def test_a_file_that_cannot_be_understood_is_left_as_it_is(text: str, places: Places) -> None:
    path = places.home / ".claude.json"
    path.write_text(text, "utf-8")

    with pytest.raises(InvalidArgumentError, match=r"\.claude\.json"):
        plan_install("claude-code", places, SERVER, hook)

    assert path.read_text("utf-8") == text


def test_a_byte_order_mark_is_no_reason_to_refuse_and_stays(places: Places) -> None:
    texts = {
        places.home / ".claude.json": '\ufeff{\n  "a": 1\n}\n',
        places.codex_folder / "config.toml": f"\ufeff{TOML}",
    }
    for path, text in texts.items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, "utf-8")

    for client in ("claude-code", "codex"):
        carry_out(plan_install(client, places, SERVER, hook))
    assert all("diary" in path.read_text("utf-8") for path in texts)
    for client in ("claude-code", "codex"):
        carry_out(plan_uninstall(client, places))

    assert {path: path.read_text("utf-8") for path in texts} == texts


FORMS = {
    "claude-desktop": [
        '{"mcpServers": {}}',
        '{"mcpServers":{"other":{"command":"y","args":[]}},"n":1e2,"s":"\\u00e9"}',
    ],
    "vscode": [
        '// mine\n{\n\t"servers": {\n\t\t"a": {"command": "y"}, // the one\n\t},\n\t"n": [],\n}',
        "{\r\n  /* none */\r\n}\r\n",
    ],
    "gemini": ['{\n  // mine\n  "theme": "dark" // or light\n}\n'],
    "codex": [
        'mcp_servers = { other = { command = "y" } } # mine\n',
        'mcp_servers.other.command = "y" # mine\nmodel = "x"\n',
        '["mcp_servers"."other"]\ncommand = "y"\n\n\n# at the end\n',
        'x = [\n  "a", # b\n]\r\nn = nan\r\n',
        'model = "x"',
        "[mcp_servers]\n",
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("client", "text"), [(client, text) for client, texts in FORMS.items() for text in texts]
)
def test_a_file_of_any_form_says_what_it_said_and_is_given_back_to_the_letter(
    client: InstalledClient, text: str, places: Places
) -> None:
    path, section = places.servers(client)
    path.parent.mkdir(parents=True)
    path.write_bytes(text.encode())

    carry_out(plan_install(client, places, SERVER, hook))
    installed = path.read_bytes().decode()
    again = [each for each in plan_install(client, places, SERVER, hook) if each.is_one]
    carry_out(plan_uninstall(client, places))

    wanted = told(client, text)
    wanted.setdefault(section, {})["diary"] = SERVER
    assert repr(told(client, installed)) == repr(wanted)
    assert again == []
    assert path.read_bytes().decode() == text


def told(client: InstalledClient, text: str) -> Json:
    read: Json = tomllib.loads(text) if client == "codex" else jsonc.parse(text)  # pyright: ignore[reportAssignmentType]
    return read


def test_what_was_changed_beside_it_since_stays(places: Places) -> None:
    path = places.servers("codex")[0]
    path.parent.mkdir()
    path.write_text(TOML, "utf-8")
    carry_out(plan_install("codex", places, SERVER, hook))
    changed = path.read_text("utf-8") + '\n# new\n[mcp_servers.new]\ncommand = "z"\n'
    path.write_text(changed, "utf-8")

    carry_out(plan_uninstall("codex", places))

    assert path.read_text("utf-8") == TOML + '\n# new\n[mcp_servers.new]\ncommand = "z"\n'


@pytest.mark.parametrize(
    ("client", "text"), [("gemini", '{\n  "say": "a b"\n}\n'), ("codex", 'say = "a b"\n')]
)
def test_white_space_that_was_changed_in_a_string_since_stays(
    client: InstalledClient, text: str, places: Places
) -> None:
    path, _ = places.servers(client)
    path.parent.mkdir(parents=True)
    path.write_text(text, "utf-8")
    carry_out(plan_install(client, places, SERVER, hook))
    path.write_text(path.read_text("utf-8").replace("a b", "ab"), "utf-8")

    carry_out(plan_uninstall(client, places))

    assert path.read_text("utf-8").split() == text.replace("a b", "ab").split()


@pytest.mark.parametrize("client", CLIENTS)
def test_a_server_of_this_name_that_somebody_else_has_put_there_stays_unless_forced(
    client: InstalledClient, places: Places
) -> None:
    path, section = places.servers(client)
    path.parent.mkdir(parents=True, exist_ok=True)
    theirs: Object = {section: {"diary": {"command": "my-diary"}}}
    text = to_toml(theirs) if client == "codex" else json.dumps(theirs)
    path.write_text(text, "utf-8")

    with pytest.raises(ConflictError, match="--force"):
        plan_install(client, places, SERVER, hook)
    carry_out(plan_uninstall(client, places))
    assert (path.read_text("utf-8"), find_other_server(client, places)) == (text, path)

    carry_out(plan_install(client, places, SERVER, hook, is_forced=True))
    assert "my-diary" not in path.read_text("utf-8")
    assert find_other_server(client, places) is None


def test_what_was_added_to_our_server_stays_when_it_is_installed_again(places: Places) -> None:
    carry_out(plan_install("cursor", places, SERVER, hook))
    path = places.servers("cursor")[0]
    changed = {**SERVER, "disabled": True, "env": {"PROXY": "p", "DIARY_MCP_DATA_DIR": "/old"}}
    path.write_text(json.dumps({"mcpServers": {"diary": changed}}), "utf-8")

    carry_out(plan_install("cursor", places, SERVER, hook))

    env = {"PROXY": "p", "DIARY_MCP_AGENT": "b"}
    expected = {"mcpServers": {"diary": {**SERVER, "disabled": True, "env": env}}}
    assert json.loads(path.read_text("utf-8")) == expected


def test_a_file_behind_a_link_is_changed_where_it_is(places: Places) -> None:
    (places.home / "dotfiles").mkdir()
    real = places.home / "dotfiles" / "claude.json"
    real.write_text('{"a": 1}', "utf-8")
    places.claude_servers.symlink_to(real)

    carry_out(plan_install("claude-code", places, SERVER, hook))

    assert places.claude_servers.is_symlink()
    assert json.loads(real.read_text("utf-8")) == {"a": 1, "mcpServers": {"diary": SERVER}}


def test_the_plugin_from_a_marketplace_is_not_doubled(places: Places) -> None:
    places.claude_folder.mkdir()
    enabled = json.dumps({"enabledPlugins": {"diary@diary-mcp": True}})
    (places.claude_folder / "settings.json").write_text(enabled, "utf-8")

    with pytest.raises(ConflictError, match="claude plugin uninstall"):
        plan_install("claude-code", places, SERVER, hook)


def test_folders_that_clients_were_given_are_used(tmp_path: Path) -> None:
    given = {"CLAUDE_CONFIG_DIR": str(tmp_path / "c"), "CODEX_HOME": str(tmp_path / "x")}
    places = Places(Path("/nowhere"), given, "darwin")

    assert places.claude_servers == tmp_path / "c" / ".claude.json"
    assert places.servers("codex")[0] == tmp_path / "x" / "config.toml"
    assert "Application Support" in str(places.servers("claude-desktop")[0])
