"""The title of a Markdown text: its first top heading."""

import re

_LINE = re.compile(r"[^\r\n]+")
_HEADING = re.compile(r" {0,3}#[ \t]+(?P<title>.*?)(?:[ \t]+#+)?[ \t]*\Z")
_FENCE = re.compile(r" {0,3}(?P<fence>`{3,}|~{3,})(?P<info>.*)\Z")
_MAX_TITLE_CHARACTERS = 200


def find_title(content: str) -> str | None:
    """The first `# ` heading outside code fences, cut to 200 characters.

    Source: CommonMark 0.31, ATX headings and fenced code blocks.
    """
    fence: str | None = None
    for line in _LINE.finditer(content):
        mark = _FENCE.match(line[0])
        if fence is not None:
            if mark is not None and _closes(mark, fence):
                fence = None
        elif mark is not None and not ("`" in mark["fence"] and "`" in mark["info"]):
            fence = mark["fence"]
        elif (title := _title(line[0])) is not None:
            return title
    return None


def _closes(mark: re.Match[str], fence: str) -> bool:
    return mark["fence"].startswith(fence) and not mark["info"].strip()


def _title(line: str) -> str | None:
    heading = _HEADING.match(line)
    if heading is None:
        return None
    title = heading["title"].strip()
    if len(title) > _MAX_TITLE_CHARACTERS:
        return title[: _MAX_TITLE_CHARACTERS - 1] + "…"
    return title or None
