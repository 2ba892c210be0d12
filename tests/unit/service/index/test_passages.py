"""How an entry is cut for the model and for the reader."""

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from diary_mcp.domain.fields import AgentName, EntryId
from diary_mcp.domain.version import SearchText
from diary_mcp.service.index.passages import (
    CHUNK_CHARACTERS,
    SNIPPET_CHARACTERS,
    cut_snippet,
    list_chunks,
    list_passages,
)


def text_of(content: str, title: str | None = None, tags: tuple[str, ...] = ()) -> SearchText:
    return SearchText(
        id=EntryId(UUID(int=1)),
        owner=AgentName("alice"),
        author="alice",
        title=title,
        content=content,
        tags=tags,
        version=1,
    )


def test_short_lines_share_a_chunk_and_fences_are_left_out() -> None:
    assert list_chunks("one\n\n```\ntwo\n```\n") == ["one\ntwo"]


def test_a_long_line_is_cut_into_sentences() -> None:
    sentence = "A sentence of some length that says a little. "

    chunks = list_chunks(sentence * 20)

    assert len(chunks) == 3
    assert all(len(chunk) <= CHUNK_CHARACTERS + len(sentence) for chunk in chunks)


def test_the_headline_is_a_passage_of_its_own() -> None:
    passages = list_passages(text_of("# Heading\n\nBody.", tags=("x", "y")))

    assert passages == ["# Heading\nBody.", "Heading [x, y]"]


def test_a_snippet_shows_where_the_words_stand() -> None:
    content = "\n".join([*(["Filler line that says nothing."] * 40), "The needle is here."])

    snippet = cut_snippet(text_of(content), ["needle"], None)

    assert "needle" in snippet
    assert len(snippet) <= SNIPPET_CHARACTERS + 2


def test_without_a_word_the_snippet_is_the_passage_that_is_nearest() -> None:
    first, second = "First. " * 50, "Second. " * 50

    assert cut_snippet(text_of(f"{first}\n{second}"), [], 1).startswith("Second.")


@given(st.text(max_size=2_000), st.lists(st.text(min_size=1, max_size=20), max_size=3))
def test_any_content_can_be_cut(content: str, words: list[str]) -> None:
    text = text_of(content or " ")

    assert list_passages(text)
    assert all(len(chunk) <= 1_000 + CHUNK_CHARACTERS for chunk in list_chunks(content))
    assert isinstance(cut_snippet(text, words, 0), str)
