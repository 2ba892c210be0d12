"""Whether the ranking's weights hold for conversations that they were not found on.

    uv run python benchmarks/search_weights.py [--folder FOLDER] [--rounds 1]

Leaves each conversation out in turn, finds weights on the others and on the diary from a plain
start, one weight at a time, and judges them on the one that was left out. Prints that beside what
the weights in use reach on it. Takes some minutes.
"""

import asyncio
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from unittest.mock import patch
from uuid import UUID

import click
import numpy as np
from pydantic import TypeAdapter

from diary_mcp.app import Foundation, open_foundation
from diary_mcp.domain.entry import EntryFilters, SearchMode
from diary_mcp.embeddings.model_process import OfflineEmbedder
from diary_mcp.service.search.ranking import Corpus, Question, Ranking, Weights, rank
from diary_mcp.settings import Settings
from search import (
    Collection,
    Quality,
    averages,
    judge,
    read_conversation,
    read_journal,
    service,
    with_folder,
    write,
)

PLAIN = Weights(
    saturation=1.2,
    length_share=0.5,
    text=6.0,
    before=(0.3, 0.15),
    after=(0.3, 0.15),
    context_length=600,
    after_question=0.0,
    question=0.0,
    author=1.0,
    first_author=0.0,
    date=1.0,
    days_after=7.0,
    days_before=7.0,
)
"""What one would begin with, without having looked at any conversation."""

GRID: Mapping[str, Sequence[object]] = {
    "saturation": (0.6, 0.8, 1.0, 1.3, 1.6),
    "length_share": (0.1, 0.2, 0.35, 0.5, 0.65),
    "text": (5.0, 6.5, 8.0, 10.0, 12.0),
    "best_chunks": (1, 2, 3),
    "context_length": (250, 400, 600),
    "after_question": (0.0, 0.1, 0.2, 0.35),
    "question": (0.0, 0.25, 0.5, 0.75, 1.0),
    "author": (0.8, 1.2, 1.5, 2.0, 2.5),
    "first_author": (0.0, 0.25, 0.5, 1.0),
    "date": (1.0, 2.0, 3.0, 4.0),
    "days_after": (3.0, 5.0, 7.0, 10.0, 14.0),
    "days_before": (1.0, 2.0, 3.0, 5.0, 7.0),
    "before": ((0.35,), (0.35, 0.25), (0.5, 0.3), (0.25, 0.15), (0.35, 0.25, 0.1)),
    "after": ((0.2,), (0.2, 0.2), (0.2, 0.1), (0.3, 0.2), (0.1, 0.1), (0.2, 0.2, 0.1)),
}
LEAST_GAIN = 2e-4
_DEPTH = 20
_TEN = 1
"""Which of the recalls is that at ten."""


@dataclass(frozen=True)
class Asked:
    """One question as the service put it to the ranking, and the entries that answer it."""

    corpus: Corpus
    question: Question
    keys: Sequence[str]
    relevant: frozenset[str]

    def judge(self, weights: Weights) -> Quality:
        scores = rank(self.corpus, self.question, "hybrid", weights).scores
        best: list[int] = np.argsort(-scores, kind="stable")[:_DEPTH].tolist()
        return judge([self.keys[place] for place in best], self.relevant)


class Judges:
    """Qualities by collection and weights, each computed once; the diary is the last one."""

    def __init__(self, collections: Sequence[Sequence[Asked]]) -> None:
        self._collections = collections
        self._known: dict[tuple[int, Weights], list[Quality]] = {}

    @property
    def conversations(self) -> range:
        return range(len(self._collections) - 1)

    def judge(self, place: int, weights: Weights) -> list[Quality]:
        if (place, weights) not in self._known:
            asked = self._collections[place]
            self._known[place, weights] = [each.judge(weights) for each in asked]
        return self._known[place, weights]

    def worth(self, places: Sequence[int], weights: Weights) -> float:
        """Recall@10 and a little of MRR, of conversations and a quarter as much of the diary."""
        conversations = [quality for place in places for quality in self.judge(place, weights)]
        return _worth(conversations) + 0.25 * _worth(
            self.judge(len(self._collections) - 1, weights)
        )


def _worth(qualities: Sequence[Quality]) -> float:
    recall = statistics.mean(quality.recalls[_TEN] for quality in qualities)
    return recall + 0.1 * statistics.mean(quality.reciprocal_rank for quality in qualities)


def find_weights(judges: Judges, places: Sequence[int], rounds: int) -> Weights:
    """One weight after the other, each the best of its grid, from the plain start."""
    weights = PLAIN
    best = judges.worth(places, weights)
    for _ in range(rounds):
        for name, values in GRID.items():
            for value in values:
                tried = replace(weights, **{name: value})
                worth = judges.worth(places, tried)
                if worth > best + LEAST_GAIN:
                    best, weights = worth, tried
    return weights


async def record(foundation: Foundation, collection: Collection) -> list[Asked]:
    """Every question of a collection, as the service puts it to the ranking."""
    await write(foundation, collection)
    exported = await _keys_by_id(foundation, collection)
    recorded: list[tuple[Corpus, Question]] = []

    def rank_and_record(
        corpus: Corpus, question: Question, mode: SearchMode, weights: Weights
    ) -> Ranking:
        recorded.append((corpus, question))
        return rank(corpus, question, mode, weights)

    search = service(foundation, Weights(), OfflineEmbedder())
    with patch("diary_mcp.service.search.engine.rank", rank_and_record):
        for inquiry in collection.inquiries:
            await search.search(
                collection.agent, inquiry.query, EntryFilters(), mode="hybrid", cursor=None, limit=1
            )
    return [
        Asked(
            corpus,
            question,
            [exported[(int(high) << 64) + int(low)] for high, low in corpus.order],
            inquiry.relevant,
        )
        for (corpus, question), inquiry in zip(recorded, collection.inquiries, strict=True)
    ]


async def _keys_by_id(foundation: Foundation, collection: Collection) -> dict[int, str]:
    async with foundation.database.connection() as connection:
        cursor = await connection.execute(
            "select id, key from diary.entry where owner = %s", (collection.agent,)
        )
        rows = TypeAdapter(list[tuple[UUID, str]]).validate_python(await cursor.fetchall())
    return {entry_id.int: key for entry_id, key in rows}


def differences(weights: Weights) -> str:
    """What differs from the weights in use."""
    used = Weights()
    return ", ".join(
        f"{field.name} {getattr(weights, field.name)}"
        for field in fields(weights)
        if getattr(weights, field.name) != getattr(used, field.name)
    )


async def run(folder: Path, rounds: int) -> None:
    paths = sorted((folder / "locomo").glob("*.json"))
    collections = [*map(read_conversation, paths), read_journal(folder)]
    with tempfile.TemporaryDirectory() as scratch:
        async with open_foundation(Settings(data_dir=Path(scratch))) as foundation:
            judges = Judges([await record(foundation, each) for each in collections])
    started = datetime.now(UTC)
    click.echo("| left out | found on the others: recall@5 @10 @20 MRR | in use | diary |")
    click.echo("|---|---|---|---|")
    left_out: list[Quality] = []
    used: list[Quality] = []
    for place in judges.conversations:
        weights = find_weights(judges, [p for p in judges.conversations if p != place], rounds)
        found, present = judges.judge(place, weights), judges.judge(place, Weights())
        left_out += found
        used += present
        diary = judges.judge(len(collections) - 1, weights)
        name = collections[place].agent
        click.echo(f"| {name} | {averages(found)} | {averages(present)} | {averages(diary)} |")
        click.echo(f"{name}: {differences(weights)}", err=True)
    diary = averages(judges.judge(len(collections) - 1, Weights()))
    click.echo(f"| all | {averages(left_out)} | {averages(used)} | {diary} in use |")
    plain = [quality for place in judges.conversations for quality in judges.judge(place, PLAIN)]
    diary = averages(judges.judge(len(collections) - 1, PLAIN))
    click.echo(f"| the plain start | {averages(plain)} | | {diary} |")
    click.echo(f"took {(datetime.now(UTC) - started).seconds} s", err=True)


@click.command()
@with_folder
@click.option("--rounds", default=1, show_default=True)
def main(folder: Path, rounds: int) -> None:
    """Print what weights reach on what they were not found on."""
    asyncio.run(run(folder, rounds))


if __name__ == "__main__":
    main()
