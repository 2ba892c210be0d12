"""Content is hostile: whatever it holds, the page gets text, structure and plain links."""

import pytest

from diary_mcp.web.markdown import render_markdown, show_opening
from support.html_pages import HtmlPage, dangers_of

ATTACKS = {
    "script": "<script>alert(1)</script>",
    "handler": '<b onmouseover="alert(1)">x</b>',
    "image": "![seen](https://tracker.example/pixel.png)",
    "html image": '<img src="https://tracker.example/pixel.png" onerror=alert(1)>',
    "image reference": "![a][b]\n\n[b]: https://tracker.example/p.png",
    "javascript": "[x](javascript:alert(1))",
    "javascript with case and space": "[x]( JaVaScRiPt:alert(1))",
    "javascript with entity": "[x](java&#115;cript:alert(1))",
    "javascript with control": "[x](java\x01script:alert(1)) <javascript:alert(1)>",
    "javascript reference": "[x][y]\n\n[y]: javascript:alert(1)",
    "vbscript": "[x](vbscript:msgbox(1))",
    "data": "[x](data:text/html,<script>alert(1)</script>)",
    "data image": "![x](data:image/svg+xml;base64,PHN2Zy8+)",
    "file": "[x](file:///etc/passwd)",
    "own page": "[x](/entries/1/delete) [y](../../sign-out) [z](//evil.example)",
    "quote in address": '[x](https://a.example/"onclick="alert(1))',
    "quote in title": '[x](https://a.example "\\" onclick=\\"alert(1)")',
    "fence": '```"><script>alert(1)</script>\n</code><script>alert(2)</script>\n```',
    "form": '<form action="https://evil.example"><input name=x></form>',
    "style": '<style>*{display:none}</style><p style="position:fixed">x</p>',
    "frame": '<iframe src="https://evil.example"></iframe>',
    "base": '<base href="https://evil.example/">',
    "refresh": '<meta http-equiv="refresh" content="0;url=https://evil.example">',
    "table": "| a | b |\n|:-:|--:|\n| <script>1</script> | ![p](https://t.example) |",
    "alt text": '![x" onerror="alert(1)](https://a.example/p.png)',
    "mutation": "<svg><style><img src=x onerror=alert(1)></style></svg>",
    "comment": "<!--><script>alert(1)</script>-->",
}


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS.keys())
def test_hostile_content_runs_and_loads_nothing(attack: str) -> None:
    page = HtmlPage(render_markdown(attack))

    assert dangers_of(page, "/none") == []
    assert {"meta", "input"} & {element.tag for element in page.elements} == set()
    assert [href for href in page.links() if not href.startswith("https://")] == []


def test_markdown_becomes_structure() -> None:
    html = render_markdown(
        "# One\n\nA *b* **c** `d`\n\n- e\n\n> f\n\n| g |\n|---|\n| h |\n\n~~i~~ [j](https://k.example)"
    )

    tags = {element.tag for element in HtmlPage(html).elements}
    assert {"h2", "em", "strong", "code", "li", "blockquote", "td", "s", "a"} <= tags
    assert "h1" not in tags


def test_an_image_is_a_link_with_its_words() -> None:
    page = HtmlPage(render_markdown("![a chart](https://example.org/chart.png)"))

    assert page.links() == ["https://example.org/chart.png"]
    assert page.text == "image: a chart"


def test_a_link_tells_its_target_nothing_of_where_it_stands() -> None:
    (link,) = HtmlPage(render_markdown("[x](https://example.org)")).all("a")

    assert set(link.attributes["rel"].split()) == {"noreferrer", "noopener"}


def test_what_overrides_the_direction_of_writing_is_shown() -> None:
    assert "⟨U+202E⟩" in render_markdown("safe \u202e txt.exe")


@pytest.mark.parametrize(
    ("opening", "shown"),
    [
        ("It is **not** `x`:\n\n- one\n- two", "It is not x: one two"),
        (
            "# A\n```\nselect 1\n```\n[b](https://b.example) ![c](https://d.example)",
            "A select 1 b c",
        ),
        ("cut **here", "cut **here"),
        ("<b>&\u202e", "&lt;b&gt;&amp;⟨U+202E⟩"),
        ("| a | b |\n|---|---|\n| c | d |", "a b c d"),
    ],
    ids=ascii,
)
def test_the_beginning_of_an_entry_is_its_words(opening: str, shown: str) -> None:
    assert show_opening(opening) == f"<bdi>{shown}</bdi>"
