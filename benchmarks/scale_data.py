"""A diary of any size, made up: as create, the indexer and the settling would have left it.

The text is drawn from English words by Zipf's law, in sessions about a topic; the vectors are the
model's own of such texts, and variations of these. An agent's entries depend on its name alone,
so the same agent is the same in a small database and in a large one.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from itertools import islice
from typing import get_args
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from diary_mcp.domain.fields import AgentName, EntryId, EntryType
from diary_mcp.domain.version import SearchText, Version, content_hash
from diary_mcp.service.index.indexer import pack_vectors
from diary_mcp.service.index.passages import is_question, list_passages
from diary_mcp.service.index.tokenizer import count_terms, list_terms
from diary_mcp.service.ports.index import Embedder

VERSION = 1
"""Raised when the same options give other data."""

LARGE, SMALL = 10_000, 100
_TYPES: tuple[EntryType, ...] = get_args(EntryType)
_TYPE_SHARES = (0.12, 0.12, 0.1, 0.26, 0.06, 0.1, 0.04, 0.2)
_SESSION_LENGTHS = (3, 8, 14, 5, 20, 10)
_STARTED = datetime(2024, 1, 1, tzinfo=UTC)
_SPAN = timedelta(days=730)
_TOPICS = 100
_TOPIC_WORDS = 40
_TOPIC_SHARE = 0.25
_VECTORS_A_TOPIC = 100
_MODELS_VECTORS_A_TOPIC = 10
_SENTENCE_WORDS = 12
_TITLED, _ASKING, _SUPERSEDING, _OWN_NAME = 0.4, 0.08, 0.03, 0.5
_SHARED, _SHARED_WITH_GROUP = 0.02, 0.002
_MISSPELT_EVERY = 10
_CHECKED_SESSION = "session-0"
_AUTHORS = ("claude", "gpt", "gemini")


@dataclass(frozen=True)
class Writer:
    """One agent, and how many entries it has."""

    name: AgentName
    entries: int


@dataclass(frozen=True)
class MadeEntry:
    """An entry with what the index holds of it."""

    text: SearchText
    type: EntryType
    session: str
    importance: float
    supersedes: EntryId | None
    created_at: datetime
    content_hash: str
    words: int
    asks: bool
    terms: Sequence[tuple[str, int]]
    vectors: bytes
    shared_with: str | None


@dataclass(frozen=True)
class _Session:
    writer: Writer
    name: str
    topic: int
    randomly: np.random.Generator


def list_writers(entries: int, agents: int) -> list[Writer]:
    """One in a hundred has 10,000 entries, one in ten 100, the others share what is left."""
    large, small = max(1, agents // 100), agents // 10
    middle = agents - large - small
    left = entries - large * LARGE - small * SMALL
    if middle < 1 or left < middle:
        raise ValueError(f"{entries} entries are too few for {agents} agents")
    sizes = [left // middle + (i < left % middle) for i in range(middle)]
    return [
        *(Writer(AgentName(f"large-{i}"), LARGE) for i in range(large)),
        *(Writer(AgentName(f"medium-{i}"), size) for i, size in enumerate(sizes)),
        *(Writer(AgentName(f"small-{i}"), SMALL) for i in range(small)),
    ]


class Vocabulary:
    """English words, the most frequent first, and the terms that the index has of each."""

    def __init__(self) -> None:
        # BERT's word pieces come in the order of how frequent they are, "the" being the first word.
        pieces = files("diary_mcp.embeddings").joinpath("vocab.txt").read_text("utf-8").split("\n")
        words = [piece for piece in pieces[pieces.index("the") :] if piece.isascii()]
        self.words = [word for word in words if len(word) > 1 and word.isalpha()]
        rank = np.arange(len(self.words))
        weights = 1 / (rank + 2.7)
        self._cumulated = np.cumsum(weights / weights.sum())
        self.terms: list[list[str]] = [list_terms(word) for word in self.words]
        randomly = np.random.default_rng(VERSION)
        self._topics = randomly.integers(100, len(self.words), (_TOPICS, _TOPIC_WORDS))

    def draw(self, randomly: np.random.Generator, topic: int, count: int) -> list[int]:
        """Places of so many words, some of them the topic's own."""
        common = np.searchsorted(self._cumulated, randomly.random(count))
        own = self._topics[topic][randomly.integers(0, _TOPIC_WORDS, count)]
        drawn = np.where(randomly.random(count) < _TOPIC_SHARE, own, common)
        return np.minimum(drawn, len(self.words) - 1).tolist()

    def text(self, places: Sequence[int]) -> str:
        return " ".join([self.words[place] for place in places])

    def prose(self, places: Sequence[int], *, asking: bool) -> str:
        """Sentences."""
        parts = iter(places)
        sentences: list[str] = []
        while sentence := list(islice(parts, _SENTENCE_WORDS)):
            sentences.append(self.text(sentence).capitalize())
        return ". ".join(sentences) + ("?" if asking else ".")


class EntryMaker:
    """Makes the sessions of agents. `agents` and `groups` are whom entries may be shared with."""

    def __init__(
        self, embedder: Embedder, vocabulary: Vocabulary, agents: Sequence[str], groups: int
    ) -> None:
        self._vocabulary = vocabulary
        self._agents = agents
        self._groups = groups
        self._pools = [_vector_pool(embedder, vocabulary, topic) for topic in range(_TOPICS)]
        self._name_terms = {name: list_terms(name) for name in (*agents, *_AUTHORS)}

    def session(self, writer: Writer, number: int) -> list[MadeEntry]:
        """The entries of one session, oldest first."""
        first, count = _session_range(writer, number)
        randomly = np.random.default_rng([VERSION, *writer.name.encode(), number])
        topic = int(randomly.integers(0, _TOPICS))
        session = _Session(writer, f"session-{number}", topic, randomly)
        start = _STARTED + _SPAN * (first / writer.entries) + timedelta(hours=8 * randomly.random())
        entries: list[MadeEntry] = []
        for i in range(count):
            at = start + timedelta(minutes=3 * i, seconds=float(randomly.random()))
            earlier = entries[-1] if entries and not entries[-1].supersedes else None
            supersedes = earlier.text.id if earlier and randomly.random() < _SUPERSEDING else None
            entries.append(self._entry(session, at, supersedes))
        return entries

    def _entry(self, session: "_Session", at: datetime, supersedes: EntryId | None) -> MadeEntry:
        randomly = session.randomly
        text, drawn = self._text(session, at)
        kind = _TYPES[int(np.searchsorted(np.cumsum(_TYPE_SHARES), randomly.random()))]
        importance = round(float(randomly.random()), 2)
        counts = self._count(text.author, drawn)
        if session.name == _CHECKED_SESSION and counts != count_terms(text):
            raise ValueError("the index counts words in another way than this does")
        pool = self._pools[session.topic]
        passages = list_passages(text)
        chosen: list[int] = randomly.integers(0, len(pool), len(passages)).tolist()
        return MadeEntry(
            text=text,
            type=kind,
            session=session.name,
            importance=importance,
            supersedes=supersedes,
            created_at=at,
            content_hash=_hash(text, session.name, kind, importance, at),
            words=sum(counts.values()),
            asks=is_question(text),
            terms=list(counts.items()),
            vectors=b"".join(pool[place] for place in chosen),
            shared_with=self._shared_with(session.writer, randomly),
        )

    def _text(
        self, session: "_Session", at: datetime
    ) -> tuple[SearchText, list[tuple[Sequence[int], int]]]:
        """The text, and its words with what each counts."""
        writer, topic, randomly = session.writer, session.topic, session.randomly
        length = int(np.clip(np.exp(randomly.normal(3.9, 0.6)), 5, 400))
        body = self._vocabulary.draw(randomly, topic, length)
        titled = randomly.random() < _TITLED
        title = self._vocabulary.draw(randomly, topic, 5) if titled else []
        tags = list(dict.fromkeys(self._vocabulary.draw(randomly, topic, 6)))
        tags = [tag for tag in tags if self._vocabulary.terms[tag]][: int(randomly.integers(0, 4))]
        author = writer.name if randomly.random() < _OWN_NAME else str(randomly.choice(_AUTHORS))
        text = SearchText(
            id=_entry_id(at, randomly),
            owner=writer.name,
            author=author,
            title=self._vocabulary.text(title).capitalize() if titled else None,
            content=self._vocabulary.prose(body, asking=bool(randomly.random() < _ASKING)),
            tags=[self._vocabulary.words[tag] for tag in tags],
            version=1,
        )
        return text, [(body, 1), (title, 2), (tags, 1)]

    def _count(self, author: str, drawn: list[tuple[Sequence[int], int]]) -> dict[str, int]:
        """What `count_terms` gives, from the words' own terms."""
        counts: dict[str, int] = {}
        for places, weight in drawn:
            for place in places:
                for term in self._vocabulary.terms[place]:
                    counts[term] = counts.get(term, 0) + weight
        for term in self._name_terms[author]:
            counts[term] = counts.get(term, 0) + 1
        return counts

    def _shared_with(self, writer: Writer, randomly: np.random.Generator) -> str | None:
        chance = randomly.random()
        if chance < _SHARED_WITH_GROUP:
            return f"group:team-{int(randomly.integers(0, self._groups))}"
        if chance > _SHARED:
            return None
        grantee = self._agents[int(randomly.integers(0, len(self._agents)))]
        return None if grantee == writer.name else grantee


def list_sessions(writers: Sequence[Writer]) -> list[tuple[Writer, int]]:
    """All sessions of all agents, in the order of their times."""
    sessions = [
        (_session_range(writer, number)[0] / writer.entries, writer, number)
        for writer in writers
        for number in range(_count_sessions(writer.entries))
    ]
    return [(writer, number) for _, writer, number in sorted(sessions, key=lambda each: each[0])]


def questions(vocabulary: Vocabulary, count: int, seed: int) -> Iterator[str]:
    """Queries as agents ask them: a few words, every tenth of them misspelt."""
    randomly = np.random.default_rng([VERSION, seed])
    for number in range(count):
        topic = int(randomly.integers(0, _TOPICS))
        words = [vocabulary.words[i] for i in vocabulary.draw(randomly, topic, 6)]
        if number % _MISSPELT_EVERY == 0:
            longest = max(words, key=len)
            words.append(longest[:2] + longest[3:])
        yield " ".join(words)


def _count_sessions(entries: int) -> int:
    whole, rest = divmod(entries, sum(_SESSION_LENGTHS))
    count = whole * len(_SESSION_LENGTHS)
    for length in _SESSION_LENGTHS:
        if rest <= 0:
            break
        rest -= length
        count += 1
    return count


def _session_range(writer: Writer, number: int) -> tuple[int, int]:
    """The place of a session's first entry, and how many there are."""
    whole, rest = divmod(number, len(_SESSION_LENGTHS))
    first = whole * sum(_SESSION_LENGTHS) + sum(_SESSION_LENGTHS[:rest])
    return first, min(_SESSION_LENGTHS[rest], writer.entries - first)


def _entry_id(at: datetime, randomly: np.random.Generator) -> EntryId:
    """A version 7 UUID."""
    milliseconds = int(at.timestamp() * 1000)
    noise = int.from_bytes(randomly.bytes(10), "big")
    value = milliseconds << 80 | noise
    value = value & ~(0xF << 76) | 7 << 76
    return EntryId(UUID(int=value & ~(0x3 << 62) | 2 << 62))


def _hash(text: SearchText, session: str, kind: EntryType, importance: float, at: datetime) -> str:
    version = Version(
        **vars(text),
        session=session,
        type=kind,
        importance=importance,
        date=at,
        updated_at=at,
        content_hash="",
    )
    return content_hash(version)


def _vector_pool(embedder: Embedder, vocabulary: Vocabulary, topic: int) -> list[bytes]:
    """Packed vectors near those that the model has for texts on the topic."""
    randomly = np.random.default_rng([VERSION, topic])
    texts = [
        vocabulary.prose(vocabulary.draw(randomly, topic, 45), asking=False)
        for _ in range(_MODELS_VECTORS_A_TOPIC)
    ]
    packed: list[bytes] = []
    for vector in embedder.embed(texts):
        exact: NDArray[np.float32] = np.frombuffer(vector, dtype="<f4")
        noise = randomly.standard_normal((_VECTORS_A_TOPIC // len(texts), len(exact)))
        near = exact + noise * (0.5 * np.linalg.norm(exact) / np.sqrt(len(exact)))
        packed += [pack_vectors([row.astype("<f4").tobytes()]) for row in near]
    return packed


def describe(entries: int, agents: int, model: str) -> str:
    """What makes two data sets the same."""
    return json.dumps([VERSION, entries, agents, model])
