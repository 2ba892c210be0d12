"""Which words of a text count, and as what."""

# ruff: noqa: RUF001  # what looks alike is what is meant

from uuid import UUID

import pytest

from diary_mcp.domain.fields import AgentName, EntryId
from diary_mcp.domain.version import SearchText
from diary_mcp.service.index.tokenizer import count_terms, fold, list_terms


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("The runners were running", ["runner", "run"]),
        ("run_transaction", ["run", "transact", "run_transaction"]),
        ("DBOS.launch()", ["dbos", "launch"]),
        ("parseHTTPHeader", ["parsehttphead", "pars", "http", "header"]),
        ("src/app/main.py", ["src", "app", "main", "py"]),
        ("Alice's notes, don't", ["alic", "note"]),
        ("Cafe\u0301 Über STRASSE Straße", ["cafe", "uber", "strass", "strass"]),
        (
            "\u0643\u0650\u062a\u0627\u0628 \u0643\u062a\u0627\u0628",
            ["\u0643\u062a\u0627\u0628"] * 2,
        ),
        ("हिन्दी भाषा", ["हिन्दी", "भाषा"]),
        ("한국어", ["한국", "국어"]),
        ("ガラス", ["ガラ", "ラス"]),
        ("日本語の話", ["日本", "本語", "語の", "の話"]),
        ("💥 -- ... !?", ["💥"]),
        ("thumbs\U0001f44d\U0001f3fdup ❤\ufe0f", ["thumb", "\U0001f44d", "❤"]),
        ("a" * 500, ["a" * 64]),
    ],
)
def test_a_word_counts_as_its_stem_and_a_compound_as_its_parts(text: str, terms: list[str]) -> None:
    assert list_terms(text) == terms


def test_a_word_of_the_title_counts_twice_and_the_speaker_once() -> None:
    text = SearchText(
        id=EntryId(UUID(int=1)),
        owner=AgentName("alice"),
        author="Carol",
        title="Backups",
        content="Carol: backup of the disk",
        tags=["disk"],
        version=1,
    )

    assert count_terms(text) == {"backup": 3, "disk": 2, "carol": 1}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("We don’t panic.", "we DON'T panic."),
        ("donʼt", "don´t"),
        ("„Platte“ «voll» ″x″", '"platte" "voll" "x"'),
        ("state‑of–the—art − 5", "state-of-the-art - 5"),
        ("a\u00a0b\u2009c\u3000d\n e", "a b c d e"),
        ("Cafe\u0301", "CAFÉ"),
        ("café", "cafe"),
        ("Işık", "ışık"),
        ("İSTANBUL", "istanbul"),
        ("ﬁle ② ＡＢＣ", "file 2 abc"),
        ("Łódź", "lodz"),
        ("Straße", "STRASSE"),
        ("co\u00adoperate\u200b", "cooperate"),
    ],
)
def test_what_people_see_as_the_same_is_the_same_in_phrases_and_in_words(
    one: str, other: str
) -> None:
    assert fold(one) == fold(other)
    assert list_terms(one) == list_terms(other)


def test_a_dash_ends_a_name_and_a_hyphen_does_not() -> None:
    assert "run_transaction" in list_terms("run_transaction—which fails")
    assert "x_y-z" in list_terms("x_y‑z")
