"""Markdown of an entry as HTML that does nothing: it loads nothing, runs nothing, sends nothing.

Twice, because content is hostile: the renderer takes no HTML and no link but to the web or a
mailbox, and what it gives is cleaned again. Images are shown as links, because loading one tells
its server that the entry was read.
"""

import re
from collections.abc import Iterator, MutableMapping, Sequence
from functools import cache

import nh3
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import OptionsDict
from markupsafe import Markup, escape

from diary_mcp.web.names import show_name, show_overrides

_SAFE_LINK = re.compile(r"(?:https?://|mailto:)", re.IGNORECASE)
_OF_LINES = {"a", "br", "code", "em", "s", "strong"}
_OF_BLOCKS = {"blockquote", "hr", "li", "ol", "p", "pre", "ul"}
_OF_TABLES = {"table", "tbody", "td", "th", "thead", "tr"}
_HEADINGS = {"h2", "h3", "h4", "h5", "h6"}
_BELOW_TITLE = 1
_DEEPEST_HEADING = 6


def render_markdown(text: str) -> Markup:
    """The content of an entry, below the heading that its page has."""
    html = _renderer().render(show_overrides(text))
    return Markup(  # noqa: S704  # cleaned here
        nh3.clean(
            html,
            tags=_OF_LINES | _OF_BLOCKS | _OF_TABLES | _HEADINGS,
            attributes={"a": {"href", "title"}, "ol": {"start"}},
            url_schemes={"http", "https", "mailto"},
            link_rel="noreferrer noopener",
        )
    )


def show_opening(text: str) -> Markup:
    """The beginning of an entry on one line, without what makes it Markdown."""
    words = " ".join(_words(_renderer().parse(text)))
    return show_name(" ".join(words.split()))


def _words(tokens: Sequence[Token]) -> Iterator[str]:
    for token in tokens:
        if token.type == "inline":
            yield "".join(_words(token.children or ()))
        elif token.type in {"softbreak", "hardbreak"}:
            yield " "
        elif token.content:
            yield token.content


@cache
def _renderer() -> MarkdownIt:
    renderer = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
    renderer.validateLink = _is_safe_link
    renderer.add_render_rule("image", _show_image)
    for heading in ("heading_open", "heading_close"):
        renderer.add_render_rule(heading, _show_heading)
    return renderer


def _is_safe_link(url: str) -> bool:
    return bool(_SAFE_LINK.match(url))


def _show_image(
    _renderer: RendererHTML,
    tokens: Sequence[Token],
    index: int,
    _options: OptionsDict,
    _environment: MutableMapping[str, object],
) -> str:
    image = tokens[index]
    return f'<a href="{escape(str(image.attrs["src"]))}">image: {escape(image.content)}</a>'


def _show_heading(
    _renderer: RendererHTML,
    tokens: Sequence[Token],
    index: int,
    _options: OptionsDict,
    _environment: MutableMapping[str, object],
) -> str:
    heading = tokens[index]
    level = min(int(heading.tag[1]) + _BELOW_TITLE, _DEEPEST_HEADING)
    return f"<{'/' if heading.nesting < 0 else ''}h{level}>\n"
