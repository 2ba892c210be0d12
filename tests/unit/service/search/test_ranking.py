"""What an entry's neighbours in its session are worth to it."""

from dataclasses import replace

import numpy as np
import pytest

from diary_mcp.service.search.ranking import Corpus, Question, TermMatch, Weights, rank

WEIGHTS = Weights(
    text=1.0, length_share=0.0, before=(0.5, 0.0), after=(0.25, 0.0), after_question=0.2
)
SECOND, FIRST, THIRD, ELSEWHERE = range(4)
CORPUS = Corpus(
    days=np.zeros(4),
    sessions=np.array([1, 1, 1, 2]),
    order=np.zeros((4, 2), dtype=np.uint64),
    line=np.array([FIRST, SECOND, THIRD, ELSEWHERE]),
    lengths=np.full(4, 100.0),
    words=np.full(4, 10.0),
    is_question=np.zeros(4, dtype=np.bool_),
    authors=np.array(["ann"] * 4, dtype=np.object_),
)
QUESTION = Question(
    terms=[TermMatch(np.array([SECOND]), np.ones(1))],
    cosines=None,
    vector_counts=np.zeros(4, dtype=np.int64),
    authors=(),
    spans=(),
    named=np.zeros(4, dtype=np.bool_),
)


def test_a_word_counts_for_what_stands_beside_it_in_its_session() -> None:
    ranking = rank(CORPUS, QUESTION, "text", WEIGHTS)

    assert ranking.context.tolist() == pytest.approx([1 / 1.75, 0.25 / 1.25, 0.5 / 1.5, 0])


def test_a_word_of_a_question_however_long_counts_more_for_the_answer() -> None:
    is_question = np.arange(4) == SECOND
    asking = replace(CORPUS, is_question=is_question, lengths=np.where(is_question, 800.0, 100.0))

    ranking = rank(asking, QUESTION, "text", WEIGHTS)

    assert ranking.context.tolist() == pytest.approx([1 / 1.375, 0.25 / 1.25, 0.7 / 1.7, 0])


def test_a_long_entry_takes_less_of_what_stands_beside_it() -> None:
    long = replace(CORPUS, lengths=np.where(np.arange(4) == THIRD, 800.0, 100.0))

    ranking = rank(long, QUESTION, "text", WEIGHTS)

    assert ranking.context.tolist() == pytest.approx([1 / 1.75, 0.25 / 1.25, 0.25 / 1.25, 0])


def test_what_a_corpus_keeps_for_some_weights_is_not_taken_for_others() -> None:
    apart = replace(WEIGHTS, before=(0.0, 0.0), after=(0.0, 0.0))

    contexts = [rank(CORPUS, QUESTION, "text", each).context.tolist() for each in (apart, WEIGHTS)]

    assert contexts == [pytest.approx([1, 0, 0, 0]), pytest.approx([1 / 1.75, 0.2, 1 / 3, 0])]
