"""Where on the page is what errors and notices name as tools and arguments."""

import re
from collections.abc import Mapping
from types import MappingProxyType

from diary_mcp.server.wording import reworded
from diary_mcp.web.names import plain_name

_PHRASES: Mapping[re.Pattern[str], str] = MappingProxyType(
    {
        re.compile(r"\bcall diary_[a-z_]+ again"): "try again",
        re.compile(r"repeat the call without cursor, or with the same .* returned it"): (
            "go back to the first page"
        ),
        re.compile(r"diary_list shows yours, and with scope=shared those shared with you"): (
            "the timeline shows yours, and \u201cShared with me\u201d those shared with you"
        ),
        re.compile(r"and makes one with open"): "and makes one",
        re.compile(r"\bwith diary_get\b"): "on its page",
        re.compile(r" with (its version as expected_version|expected_version [^.\s]+)"): "",
        re.compile(r"(supersedes the others) with diary_create"): r"\1",
        re.compile(r"of your own with diary_create instead"): "of your own instead",
        re.compile(r"include_superseded, or other words"): (
            "what was corrected since, too, or other words"
        ),
        re.compile(r"\ban older one by its entry_id\b"): "an older one on its page",
        re.compile(r"\bwith is required"): "whom to share it with is required",
    }
)
_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "diary_create": "\u201cWrite\u201d",
        "diary_get": "the entry\u2019s page",
        "diary_list": "the timeline",
        "diary_search": "the search",
        "diary_update": "\u201cEdit\u201d",
        "diary_delete": "\u201cDelete\u201d",
        "diary_share": "the entry\u2019s page",
        "diary_unshare": "the entry\u2019s page",
        "diary_shares": "its page",
        "diary_diaries": "\u201cDiaries\u201d",
        "diary_reflect": "\u201cActivity\u201d",
        "diary_tags": "\u201cTags\u201d",
        "diary_verify": "\u201cStatus\u201d",
        "diary_whoami": "\u201cStatus\u201d",
        "expires_at": "until",
    }
)


def for_page(told: str) -> str:
    """What was told a model, for whoever reads the page; shown as `plain_name` shows names."""
    return plain_name(reworded(told, _PHRASES, _NAMES))
