"""How well search finds what answers a question, and how long that takes.

    uv run python benchmarks/search.py [--folder FOLDER] [--ablation] [--tool] [--entries 1000]

FOLDER holds `locomo/*.json` and `journal/*.md` with `journal_questions.json`; without it, the
folder `shared` beside the checkout. Each conversation, and the journal, is one agent's diary,
written and searched through the service on an embedded PostgreSQL. With `--tool`, each is written
by `diary_create`, entry by entry, to a server over stdio, and searched by `diary_search` at once
and again when all of it is indexed. With `--entries`, only diaries of that size are timed.
"""

import asyncio
import json
import resource
import statistics
import sys
import tempfile
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from os.path import exists
from pathlib import Path
from random import Random
from time import perf_counter

import click
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client
from pydantic import TypeAdapter

from diary_mcp.app import Foundation, open_foundation
from diary_mcp.domain.entry import EntryDraft, EntryFilters, SearchMode
from diary_mcp.domain.fields import AgentName
from diary_mcp.embeddings.model_process import OfflineEmbedder
from diary_mcp.files.markdown import read_markdown
from diary_mcp.service.archive.importer import EntryImport, ImportedEntry
from diary_mcp.service.entries.access import Access
from diary_mcp.service.search.ranking import Weights
from diary_mcp.service.search.search import SearchService
from diary_mcp.settings import Settings
from quantiles import quantile

Row = tuple[str, SearchMode, Weights]
MODES: tuple[SearchMode, ...] = ("text", "semantic", "hybrid")
DEPTHS = (5, 10, 20)
FILTERS = EntryFilters(scope="all", include_superseded=False)
BATCH = 200
POLL_S = 0.5
HEADER = (
    "| | conversations: recall@5 @10 @20 MRR | diary: recall@5 @10 @20 MRR | ms p50 / p99 |\n"
    "|---|---|---|---|"
)


@dataclass(frozen=True)
class Inquiry:
    """One question, and the keys of the entries that answer it."""

    query: str
    relevant: frozenset[str]


@dataclass(frozen=True)
class Collection:
    """One diary with its questions."""

    agent: AgentName
    drafts: Sequence[EntryDraft]
    inquiries: Sequence[Inquiry]


@dataclass(frozen=True)
class Quality:
    """Recall at each of `DEPTHS`, and the reciprocal rank of the first right hit."""

    recalls: tuple[float, ...]
    reciprocal_rank: float


ABLATIONS: Mapping[str, Weights] = {
    "all of it": Weights(),
    "no BM25": Weights(text=0),
    "no vectors": Weights(vector=0),
    "no context": Weights(before=(), after=(), after_question=0),
    "context also for long entries": Weights(context_length=10**9),
    "no author": Weights(author=0, first_author=0),
    "no dates": Weights(date=0),
    "no rules for questions": Weights(question=0, after_question=0),
    "best chunk only": Weights(best_chunks=1),
    "no guesses at misspelt words": Weights(similar_term=0),
    "every entry is a hit": Weights(least_cosine=-1),
}


def read_conversation(path: Path) -> Collection:
    content = TypeAdapter(dict[str, list[dict[str, object]]]).validate_python(
        {
            name: rows
            for name, rows in json.loads(path.read_text("utf-8")).items()
            if isinstance(rows, list)
        }
    )
    return Collection(
        AgentName(f"conversation-{path.stem}"),
        [EntryDraft.model_validate(row) for row in content["entries"]],
        [read_inquiry(row) for row in content["queries"]],
    )


def read_journal(folder: Path) -> Collection:
    rows = json.loads((folder / "journal_questions.json").read_text("utf-8"))["queries"]
    return Collection(
        AgentName("journal"),
        [
            read_markdown(path.read_bytes(), name=path.stem, modified_at=datetime.now(UTC)).draft
            for path in sorted((folder / "journal").glob("*.md"))
        ],
        [read_inquiry(row) for row in rows],
    )


def read_inquiry(row: Mapping[str, object]) -> Inquiry:
    keys = TypeAdapter(frozenset[str]).validate_python(row["relevant"])
    return Inquiry(str(row["query"]), keys)


async def write(foundation: Foundation, collection: Collection) -> None:
    """Into the diary as an import does it, and indexed."""
    run = EntryImport(
        foundation.store, collection.agent, lambda _entry, _stored: False, is_there=exists
    )
    drafts = list(collection.drafts)
    while batch := drafts[:BATCH]:
        del drafts[:BATCH]
        await run.write([ImportedEntry(draft, source_hash=str(draft.key)) for draft in batch])
    await foundation.indexer.index_waiting()


async def ask(
    search: SearchService, collection: Collection, mode: SearchMode, durations: list[float]
) -> list[Quality]:
    qualities: list[Quality] = []
    for inquiry in collection.inquiries:
        started = perf_counter()
        page = await search.search(
            collection.agent, inquiry.query, FILTERS, mode=mode, cursor=None, limit=50
        )
        durations.append((perf_counter() - started) * 1_000)
        qualities.append(judge([str(hit.key) for hit in page.rows], inquiry.relevant))
    return qualities


def judge(ranked: Sequence[str], relevant: frozenset[str]) -> Quality:
    first = next((place for place, key in enumerate(ranked, 1) if key in relevant), None)
    return Quality(
        tuple(len(relevant.intersection(ranked[:depth])) / len(relevant) for depth in DEPTHS),
        0 if first is None else 1 / first,
    )


def averages(qualities: Sequence[Quality]) -> str:
    columns = [*zip(*(quality.recalls for quality in qualities), strict=True)]
    means = [statistics.mean(column) for column in columns]
    rank = statistics.mean(quality.reciprocal_rank for quality in qualities)
    return " ".join(f"{value:.3f}" for value in (*means, rank))


def timings(durations: Sequence[float]) -> str:
    p99 = quantile(durations, 99)
    return f"{statistics.median(durations):.1f} / {p99:.1f}"


def service(foundation: Foundation, weights: Weights, embedder: OfflineEmbedder) -> SearchService:
    access = Access(foundation.store, foundation.permissions)
    return SearchService(
        foundation.store, foundation.permissions, access, embedder, weights=weights
    )


async def compare(
    foundation: Foundation,
    collections: Sequence[Collection],
    rows: Iterable[Row],
) -> None:
    embedder = OfflineEmbedder()
    click.echo(HEADER)
    for name, mode, weights in rows:
        search = service(foundation, weights, embedder)
        durations: list[float] = []
        asked = [await ask(search, collection, mode, durations) for collection in collections]
        click.echo(as_row(name, asked, durations))


def as_row(name: str, asked: Sequence[list[Quality]], durations: Sequence[float]) -> str:
    """One row of a table; the diary is the last collection."""
    *conversations, journal = asked
    chat = averages([quality for each in conversations for quality in each])
    return f"| {name} | {chat} | {averages(journal)} | {timings(durations)} |"


@asynccontextmanager
async def server(agent: AgentName, data_dir: Path) -> AsyncGenerator[ClientSession]:
    """The server as it is installed, with the settings of a new user."""
    parameters = StdioServerParameters(
        command=sys.executable,
        args=["-m", "diary_mcp", "serve"],
        env={"DIARY_MCP_DATA_DIR": str(data_dir), "DIARY_MCP_AGENT": agent},
    )
    with tempfile.TemporaryFile("w", encoding="utf-8") as log:
        async with stdio_client(parameters, errlog=log) as streams, ClientSession(*streams) as mcp:
            await mcp.initialize()
            yield mcp


async def call(mcp: ClientSession, tool: str, arguments: dict[str, object]) -> dict[str, object]:
    result = await mcp.call_tool(tool, arguments)
    if result.is_error or result.structured_content is None:
        raise RuntimeError(f"{tool} failed: {result.content}")
    return result.structured_content


async def ask_tool(
    mcp: ClientSession, inquiries: Sequence[Inquiry], durations: list[float]
) -> list[Quality]:
    qualities: list[Quality] = []
    for inquiry in inquiries:
        started = perf_counter()
        answer = await call(mcp, "diary_search", {"query": inquiry.query, "limit": 20})
        durations.append((perf_counter() - started) * 1_000)
        hits = TypeAdapter(list[dict[str, object]]).validate_python(answer["hits"])
        qualities.append(judge([str(hit["key"]) for hit in hits], inquiry.relevant))
    return qualities


async def compare_tool(collections: Sequence[Collection], scratch: Path) -> None:
    """What a new user gets: right after writing, and when everything is indexed."""
    at_once: list[list[Quality]] = []
    indexed: list[list[Quality]] = []
    durations: tuple[list[float], list[float]] = ([], [])
    for collection in collections:
        async with server(collection.agent, scratch) as mcp:
            begun = perf_counter()
            for draft in collection.drafts:
                # It may correct an entry that is not there.
                fields = draft.model_dump(mode="json", exclude_none=True, exclude={"supersedes"})
                await call(mcp, "diary_create", fields)
            written = perf_counter()
            at_once.append(await ask_tool(mcp, collection.inquiries, durations[0]))
            question: dict[str, object] = {"query": collection.inquiries[0].query}
            while "notice" in await call(mcp, "diary_search", question):  # noqa: ASYNC110  # nobody could tell us
                await asyncio.sleep(POLL_S)
            click.echo(
                f"{collection.agent}: {len(collection.drafts)} entries written in "
                f"{written - begun:.0f} s, indexed {perf_counter() - written:.0f} s later, "
                "while it was searched"
            )
            indexed.append(await ask_tool(mcp, collection.inquiries, durations[1]))
    click.echo(f"\n{HEADER}")
    click.echo(as_row("right after writing", at_once, durations[0]))
    click.echo(as_row("indexed", indexed, durations[1]))


async def measure_size(foundation: Foundation, source: Collection, size: int) -> None:
    """One diary of `size` entries, made of the words and vectors of the conversations."""
    agent = AgentName(f"large-{size}")
    randomly = Random(size)
    started = datetime(2024, 1, 1, tzinfo=UTC)
    drafts = [
        replace_draft(source.drafts[randomly.randrange(len(source.drafts))], number, started)
        for number in range(size)
    ]
    large = replace(source, agent=agent, drafts=drafts, inquiries=source.inquiries[:100])
    begun = perf_counter()
    await write(foundation, large)
    click.echo(f"\n{size} entries: written and indexed in {perf_counter() - begun:.0f} s")
    for mode in MODES:
        durations: list[float] = []
        await ask(foundation.diary.search, large, mode, durations)
        click.echo(f"{size} entries, {mode}: ms p50 / p99 {timings(durations)}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    click.echo(f"most memory of this process so far: {peak} MiB")


def replace_draft(draft: EntryDraft, number: int, started: datetime) -> EntryDraft:
    return draft.model_copy(
        update={
            "key": f"entry-{number}",
            "date": started + timedelta(minutes=number),
            "session": f"session-{number // 20}",
        }
    )


async def run(folder: Path, *, ablation: bool, tool: bool, sizes: Sequence[int]) -> None:
    conversations = [read_conversation(path) for path in sorted((folder / "locomo").glob("*.json"))]
    collections = [*conversations, read_journal(folder)]
    questions = sum(len(each.inquiries) for each in conversations)
    click.echo(
        f"{len(conversations)} conversations with {questions} questions; "
        f"{len(collections[-1].drafts)} diary entries with {len(collections[-1].inquiries)}\n"
    )
    with tempfile.TemporaryDirectory() as scratch:
        if tool:
            await compare_tool(collections, Path(scratch))
            return
        async with open_foundation(Settings(data_dir=Path(scratch))) as foundation:
            if sizes:
                for size in sizes:
                    await measure_size(foundation, conversations[0], size)
                return
            for collection in collections:
                await write(foundation, collection)
            modes: list[Row] = [(mode, mode, Weights()) for mode in MODES]
            await compare(foundation, collections, modes)
            if ablation:
                click.echo()
                parts: list[Row] = [
                    (name, "hybrid", weights) for name, weights in ABLATIONS.items()
                ]
                await compare(foundation, collections, parts)


with_folder = click.option(
    "--folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    envvar="DIARY_MCP_BENCHMARK_FOLDER",
    default=Path(__file__).parents[2] / "shared",
)


@click.command()
@with_folder
@click.option("--ablation", is_flag=True, help="Take every part away in turn.")
@click.option("--tool", is_flag=True, help="Through a server over stdio, as a new user has it.")
@click.option("--entries", "sizes", type=int, multiple=True, help="Only time a diary so large.")
def main(folder: Path, sizes: tuple[int, ...], *, ablation: bool, tool: bool) -> None:
    """Print recall, MRR and latency of each mode."""
    asyncio.run(run(folder, ablation=ablation, tool=tool, sizes=sizes))


if __name__ == "__main__":
    main()
