"""Models of optional packages, behind the few methods of theirs that are used."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

import numpy as np
from numpy.typing import NDArray

from diary_mcp.domain.errors import EmbeddingUnavailableError

_Floats = NDArray[np.float32]


class _WordLlama(Protocol):
    def embed(self, texts: list[str]) -> _Floats: ...


class _FastEmbed(Protocol):
    def embed(self, documents: list[str]) -> Iterable[_Floats]: ...


class PackagedModel:
    """A model that gives arrays."""

    def __init__(self, embed: Callable[[list[str]], Iterable[_Floats]]) -> None:
        self._embed = embed

    def embed(self, texts: Sequence[str]) -> list[bytes]:
        return [vector.astype("<f4").tobytes() for vector in self._embed(list(texts))]


def load_wordllama() -> PackagedModel:
    """The static model that lies in the package `wordllama`: quick, small, and less exact.

    Raises:
        EmbeddingUnavailableError: the package is not there, or not as it is expected.
    """
    return _load("wordllama", _open_wordllama)


def load_fastembed(model: str) -> PackagedModel:
    """A model of `fastembed`, which downloads it at first need and keeps it.

    Raises:
        EmbeddingUnavailableError: the package or the model is not there.
    """
    return _load("fastembed", partial(_open_fastembed, model))


def _load(package: str, open_model: Callable[[], PackagedModel]) -> PackagedModel:
    # What a package raises, and what a download of its own does, is not ours to know.
    try:
        return open_model()
    except Exception as error:
        raise EmbeddingUnavailableError(f"{package} cannot load its model: {error}") from error


def _open_wordllama() -> PackagedModel:
    package = import_module("wordllama")
    # Where it looks first, so that nothing is downloaded.
    folder = Path(str(package.__file__)).parent
    model = cast("_WordLlama", package.WordLlama.load(cache_dir=folder, disable_download=True))
    return PackagedModel(model.embed)


def _open_fastembed(name: str) -> PackagedModel:
    # One thread, as for the model that comes along: the machine is the agent's.
    model = cast("_FastEmbed", import_module("fastembed").TextEmbedding(name, threads=1))
    return PackagedModel(model.embed)
