"""Pages as a browser would take them apart, to look for what must not be in them."""

from dataclasses import dataclass, field
from html.parser import HTMLParser

_WITHIN_LINES = {"a", "bdi", "code", "em", "q", "s", "span", "strong", "time"}


@dataclass(frozen=True)
class Element:
    tag: str
    attributes: dict[str, str]


@dataclass
class Form:
    """A form as it would be sent."""

    action: str
    fields: dict[str, str] = field(default_factory=dict[str, str])
    choosing: bool = False
    _last: str = ""
    _is_typing: bool = False

    def add(self, element: Element) -> None:
        attributes = element.attributes
        self._last = attributes.get("name", "")
        self._is_typing = element.tag == "textarea"
        is_left_out = attributes.get("type") == "checkbox" and "checked" not in attributes
        if self._last and not is_left_out:
            self.fields[self._last] = attributes.get("value", "")

    def type(self, text: str) -> None:
        if self.choosing:
            self.fields[self._last] = text
        elif self._is_typing:
            before = self.fields[self._last]
            # A browser leaves out the line end that follows the tag.
            self.fields[self._last] = before + text if before else text.removeprefix("\n")

    def leave(self) -> None:
        self.choosing = self._is_typing = False


@dataclass
class HtmlPage(HTMLParser):
    """The elements of a page, and all its text."""

    html: str
    elements: list[Element] = field(default_factory=list[Element])
    texts: list[str] = field(default_factory=list[str])
    forms: list["Form"] = field(default_factory=list["Form"])

    def __post_init__(self) -> None:
        super().__init__()
        self.feed(self.html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(Element(tag, {name: value or "" for name, value in attrs}))
        if tag not in _WITHIN_LINES:
            self.texts.append(" ")

        if tag == "form":
            self.forms.append(Form(self.elements[-1].attributes.get("action", "")))
        elif self.forms and tag in {"input", "textarea", "select"}:
            self.forms[-1].add(self.elements[-1])
        elif self.forms and tag == "option" and "selected" in self.elements[-1].attributes:
            self.forms[-1].choosing = True

    def handle_data(self, data: str) -> None:
        self.texts.append(data)
        if self.forms:
            self.forms[-1].type(data)

    def handle_endtag(self, tag: str) -> None:
        if self.forms and tag in {"textarea", "option"}:
            self.forms[-1].leave()

    def fields_of(self, action: str) -> dict[str, str]:
        """The fields of the form that goes to `action`, as they are filled in."""
        (form,) = [form for form in self.forms if form.action == action]
        return form.fields

    @property
    def text(self) -> str:
        return " ".join("".join(self.texts).split())

    def all(self, tag: str) -> list[Element]:
        return [element for element in self.elements if element.tag == tag]

    def links(self) -> list[str]:
        return [each.attributes.get("href", "") for each in self.all("a")]


_RUNS = {"script", "style", "iframe", "object", "embed", "img", "svg", "math", "base", "video"}
_OF_PICTURES = {"class", "width", "height", "viewbox", "aria-hidden"}
_LOADS = ("src", "srcset", "data", "poster", "background", "formaction", "ping", "style")


def dangers_of(page: HtmlPage, base: str) -> list[Element]:
    """What would run, load, send or pretend, on a page whose own addresses begin with `base`."""
    return [element for element in page.elements if _is_dangerous(element, base)]


def _is_our_own(element: Element, base: str) -> bool:
    """Whether the page draws or runs this itself."""
    attributes = element.attributes
    if element.tag == "svg" and attributes.get("class", "").startswith("picture"):
        return set(attributes) <= _OF_PICTURES
    own = [{"src": f"{base}/static/{name}.js", "defer": ""} for name in ("idiomorph", "page")]
    return element.tag == "script" and attributes in own


def _is_dangerous(element: Element, base: str) -> bool:
    attributes = element.attributes
    if _is_our_own(element, base):
        return False
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
