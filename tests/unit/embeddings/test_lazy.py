"""A model is loaded once, at first need; what fails is tried again, but not by everybody."""

from collections.abc import Sequence

import pytest

from diary_mcp.domain.errors import EmbeddingUnavailableError
from diary_mcp.embeddings.lazy import LazyEmbedder
from support.ground_truth import eventually


class Loads:
    """Fails as often as it is told, and counts."""

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.count = 0

    def __call__(self) -> "Loads":
        self.count += 1
        if self.count <= self.failures:
            raise EmbeddingUnavailableError(f"attempt {self.count}")
        return self

    def embed(self, texts: Sequence[str]) -> list[bytes]:
        return [text.encode() for text in texts]


def test_it_is_loaded_once_and_not_before_it_is_asked() -> None:
    load = Loads(failures=0)
    embedder = LazyEmbedder("model", load)
    before = load.count

    answers = [embedder.embed(["a"]), embedder.embed(["b"])]

    assert (before, load.count) == (0, 1)
    assert answers == [[b"a"], [b"b"]]


def test_it_can_be_warmed_up_before_it_is_asked() -> None:
    load = Loads(failures=0)
    embedder = LazyEmbedder("model", load)
    before = embedder.is_warm

    embedder.warm_up()
    eventually(lambda: embedder.is_warm)
    embedder.warm_up()

    assert not before
    assert load.count == 1


def test_what_cannot_be_warmed_up_is_told_to_whoever_asks() -> None:
    load = Loads(failures=9)
    embedder = LazyEmbedder("model", load, least_pause_s=3_600)

    embedder.warm_up()
    eventually(lambda: load.count == 1)

    with pytest.raises(EmbeddingUnavailableError, match="attempt 1"):
        embedder.embed(["a"])
    assert not embedder.is_warm


def test_a_load_that_failed_is_not_repeated_by_everybody_who_asks() -> None:
    load = Loads(failures=9)
    embedder = LazyEmbedder("model", load, least_pause_s=3_600)

    for _ in range(3):
        with pytest.raises(EmbeddingUnavailableError, match="attempt 1"):
            embedder.embed(["a"])

    assert load.count == 1


def test_after_the_pause_it_is_tried_again() -> None:
    load = Loads(failures=1)
    embedder = LazyEmbedder("model", load, least_pause_s=0)

    with pytest.raises(EmbeddingUnavailableError):
        embedder.embed(["a"])
    while load.count == 1:
        try:
            assert embedder.embed(["a"]) == [b"a"]
        except EmbeddingUnavailableError:  # ten times nothing is not nothing
            continue

    assert load.count == 2
