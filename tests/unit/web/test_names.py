import pytest

from diary_mcp.web.names import plain_name, show_name


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("report\u202efdp.exe", "report⟨U+202E⟩fdp.exe"),
        ("\u2066a\u2069", "⟨U+2066⟩a⟨U+2069⟩"),
        ("a\u200bb", "a⟨U+200B⟩b"),
        ("a\nb\x1b[31m", "a⟨U+000A⟩b⟨U+001B⟩[31m"),
        ("\u3164", "⟨U+3164⟩"),
        ("\U000e0041", "⟨U+E0041⟩"),
        ("שלום", "שלום"),
        ("👩‍💻 café", "👩‍💻 café"),
    ],
    ids=ascii,
)
def test_a_name_shows_what_would_not_be_seen(name: str, shown: str) -> None:
    assert plain_name(name) == shown


def test_a_name_is_text_and_keeps_its_direction_to_itself() -> None:
    assert show_name("<b>&") == "<bdi>&lt;b&gt;&amp;</bdi>"
