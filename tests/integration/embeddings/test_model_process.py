"""The sentence model in a process of its own: it starts when asked, and leaves nothing behind."""

import gc
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import psutil
import pytest

from diary_mcp.domain.errors import EmbeddingUnavailableError
from diary_mcp.embeddings.model_process import OfflineEmbedder
from diary_mcp.embeddings.worker import load_minilm
from support.ground_truth import eventually

VECTOR_BYTES = 384 * 4


def workers() -> list[psutil.Process]:
    return [
        child
        for child in psutil.Process().children()
        if "diary_mcp.embeddings.worker" in _words(child)
    ]


def _words(child: psutil.Process) -> list[str]:
    try:
        return child.cmdline()
    except psutil.NoSuchProcess:  # It has ended, and may be a zombie.
        return []


@pytest.fixture
def embedder() -> OfflineEmbedder:
    return OfflineEmbedder()


def test_equal_texts_have_equal_vectors_and_others_have_others(embedder: OfflineEmbedder) -> None:
    first, second, third = embedder.embed(["one text\nof two lines", "another", "another"])

    assert first != second == third
    assert {len(first), len(second)} == {VECTOR_BYTES}


def test_no_process_runs_before_the_first_text_and_none_after_the_end() -> None:
    embedder = OfflineEmbedder()
    before = workers()
    embedder.embed(["a text"])
    (worker,) = (each for each in workers() if each not in before)

    del embedder
    gc.collect()

    assert not worker.is_running()


def test_a_process_that_has_ended_is_started_again(embedder: OfflineEmbedder) -> None:
    (before,) = embedder.embed(["a text"])
    (worker,) = workers()
    worker.kill()

    (after,) = embedder.embed(["a text"])

    assert after == before
    assert worker not in workers()


def test_a_process_that_has_ended_is_no_zombie(embedder: OfflineEmbedder) -> None:
    embedder.embed(["a text"])
    (worker,) = workers()

    worker.kill()

    eventually(lambda: not psutil.pid_exists(worker.pid))


def test_it_is_warm_from_the_start_of_its_process_to_the_end(embedder: OfflineEmbedder) -> None:
    told = [embedder.is_warm]
    for _ in range(2):
        embedder.warm_up()
        eventually(lambda: embedder.is_warm, within_s=60)
        told.append(embedder.is_warm)
        (worker,) = workers()
        worker.kill()
        eventually(lambda: not embedder.is_warm)
        told.append(embedder.is_warm)

    assert told == [False, True, False, True, False]


def test_several_threads_get_the_vectors_of_their_own_texts(embedder: OfflineEmbedder) -> None:
    texts = [f"text number {number}" for number in range(8)]
    expected = embedder.embed(texts)

    with ThreadPoolExecutor(4) as threads:
        found = [threads.submit(embedder.embed, [text]) for text in texts]

    together = [vector for each in found for vector in each.result()]
    assert np.allclose(as_numbers(together), as_numbers(expected), atol=1e-5)


def test_a_question_has_the_same_vector_alone_and_among_others_of_any_length() -> None:
    model = load_minilm()
    questions = [" ".join(["backup", "disk", "moon", "restore"][:count] * 2) for count in (1, 2, 3)]
    questions += ["why did the backup fail?", "when?", "", "a passage of many words " * 60]

    together = model.embed_together([*questions, *reversed(questions)])

    expected = model.embed([*questions, *reversed(questions)])
    assert np.allclose(as_numbers(together), as_numbers(expected), atol=1e-5)


def as_numbers(vectors: list[bytes]) -> list[list[float]]:
    return [np.frombuffer(vector, "<f4").tolist() for vector in vectors]


def test_a_process_that_does_not_start_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/true")

    with pytest.raises(EmbeddingUnavailableError, match="does not start"):
        OfflineEmbedder().embed(["a text"])
