"""Pages as a browser would take them apart, to look for what must not be in them."""

from dataclasses import dataclass, field
from html.parser import HTMLParser

_WITHIN_LINES = {"a", "bdi", "code", "em", "q", "s", "span", "strong", "time"}


@dataclass(frozen=True)
class Element:
    tag: str
    attributes: dict[str, str]


@dataclass
class HtmlPage(HTMLParser):
    """The elements of a page, and all its text."""

    html: str
    elements: list[Element] = field(default_factory=list[Element])
    texts: list[str] = field(default_factory=list[str])

    def __post_init__(self) -> None:
        super().__init__()
        self.feed(self.html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(Element(tag, {name: value or "" for name, value in attrs}))
        if tag not in _WITHIN_LINES:
            self.texts.append(" ")

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.texts).split())

    def all(self, tag: str) -> list[Element]:
        return [element for element in self.elements if element.tag == tag]

    def links(self) -> list[str]:
        return [each.attributes.get("href", "") for each in self.all("a")]


_RUNS = {"script", "style", "iframe", "object", "embed", "img", "svg", "math", "base", "video"}
_LOADS = ("src", "srcset", "data", "poster", "background", "formaction", "ping", "style")


def dangers_of(page: HtmlPage, base: str) -> list[Element]:
    """What would run, load, send or pretend, on a page whose own addresses begin with `base`."""
    return [element for element in page.elements if _is_dangerous(element, base)]


def _is_dangerous(element: Element, base: str) -> bool:
    attributes = element.attributes
    if element.tag in _RUNS or any(name.startswith("on") for name in attributes):
        return True
    if any(name in attributes for name in _LOADS):
        return True
    if element.tag == "form":
        return not attributes["action"].startswith(base)
    href = attributes.get("href", "")
    if element.tag == "link" or not href.startswith(("http://", "https://", "mailto:")):
        return bool(href) and not href.startswith((f"{base}/", "#"))
    return set(attributes.get("rel", "").split()) < {"noreferrer", "noopener"}
