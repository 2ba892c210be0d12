"""What a person types instead of the tools and arguments that errors and notices name."""

import re
from collections.abc import Mapping
from types import MappingProxyType

from diary_mcp.server.wording import reworded

COMMANDS: Mapping[str, str] = MappingProxyType(
    {
        "diary_create": "write",
        "diary_get": "show",
        "diary_list": "list",
        "diary_search": "search",
        "diary_update": "edit",
        "diary_delete": "delete",
        "diary_share": "share",
        "diary_unshare": "unshare",
        "diary_shares": "audit",
        "diary_diaries": "diary list",
        "diary_reflect": "context",
        "diary_tags": "tags",
        "diary_verify": "verify",
        "diary_whoami": "status",
    }
)
_PHRASES: Mapping[re.Pattern[str], str] = MappingProxyType(
    {
        re.compile(r"\bcall diary_[a-z_]+ again"): "try again",
        re.compile(r"repeat the call without cursor, or with the same .* returned it"): (
            "leave --cursor out, or give the same options as before"
        ),
        re.compile(r"diary_diaries lists them, and makes one with open"): (
            "`diary-mcp diary list` lists them, and `diary-mcp diary add` makes one"
        ),
        re.compile(r"diary://entries/\S+/versions lists those before"): (
            "`diary-mcp show` shows those before with --version"
        ),
        re.compile(r"\bscope=(\w+)"): r"--scope \1",
        re.compile(r"\ballow_secret: true"): "--allow-secret",
        re.compile(r"\bgive either entry_id or diary\b"): "give either REF or --diary",
        re.compile(r"\bwith is required"): "--with is required",
        re.compile(r"\bentry_id\b"): "REF",
    }
)
_NAMES: Mapping[str, str] = MappingProxyType(
    {tool: f"`diary-mcp {command}`" for tool, command in COMMANDS.items()}
    | {
        argument: f"--{argument.replace('_', '-')}"
        for argument in (
            "any_tags",
            "exclude_tags",
            "expected_version",
            "expires_at",
            "idempotency_key",
            "include_superseded",
            "min_importance",
            "allow_secret",
        )
    }
)


def for_terminal(told: str) -> str:
    """What was told a model, for whoever uses the command line."""
    return reworded(told, _PHRASES, _NAMES)
