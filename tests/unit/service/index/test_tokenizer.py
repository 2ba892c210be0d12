"""Which words of a text count, and as what."""

from uuid import UUID

import pytest

from diary_mcp.domain.fields import AgentName, EntryId
from diary_mcp.domain.version import SearchText
from diary_mcp.service.index.tokenizer import count_terms, list_terms


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
        ("💥 -- ... !?", []),
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
