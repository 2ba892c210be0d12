"""The text of an entry as search cuts it: chunks for the model, and snippets for the reader."""

import re
from collections.abc import Collection, Iterator

from diary_mcp.domain.entry import Entry
from diary_mcp.domain.version import SearchText
from diary_mcp.service.index.tokenizer import without_author

CHUNK_CHARACTERS = 400
SNIPPET_CHARACTERS = 240

# The model reads 256 tokens; a sentence beyond that would lose its end.
_LONGEST_UNIT = 1_000
_HEADING = re.compile(r"^#\s+(.+)$", re.MULTILINE)
_SENTENCE_END = re.compile(r"[.!?](\s+)")


def is_question(text: SearchText) -> bool:
    """Whether the entry ends as a question."""
    return without_author(text).rstrip().endswith("?")


def list_passages(text: SearchText) -> list[str]:
    """What is embedded of an entry: its chunks, then its headline where it has one.

    At least one passage, also of what has no text but fences and blank lines.
    """
    passages = list_chunks(without_author(text)) or [text.content[:CHUNK_CHARACTERS]]
    headline = _headline(text)
    return [*passages, headline] if headline else passages


def list_chunks(content: str) -> list[str]:
    """Lines packed up to `CHUNK_CHARACTERS`; a longer line is first cut into sentences."""
    chunks: list[str] = []
    current = ""
    for unit in _units(content):
        if current and len(current) + len(unit) > CHUNK_CHARACTERS:
            chunks.append(current)
            current = unit
        else:
            current = f"{current}\n{unit}" if current else unit
    return [*chunks, current] if current else chunks


def cut_snippet(text: SearchText | Entry, words: Collection[str], chunk: int | None) -> str:
    """The passage that made the entry a hit: where most of `words` stand, else the best chunk."""
    chunks = list_chunks(without_author(text))
    if not chunks:
        return text.content[:SNIPPET_CHARACTERS]
    passage, start = chunks[chunk if chunk is not None and chunk < len(chunks) else 0], 0
    densest = _densest(chunks, {word.lower() for word in words})
    if densest is not None:
        passage, start = densest
    end = start + SNIPPET_CHARACTERS
    before, after = "…" if start else "", "…" if end < len(passage) else ""
    return before + passage[start:end].strip() + after


def _units(content: str) -> Iterator[str]:
    for line in map(str.strip, content.split("\n")):
        if not line or line.startswith("```"):
            continue
        if len(line) <= CHUNK_CHARACTERS:
            yield line
            continue
        for sentence in _sentences(line):
            yield from (
                sentence[i : i + _LONGEST_UNIT] for i in range(0, len(sentence), _LONGEST_UNIT)
            )


def _sentences(line: str) -> Iterator[str]:
    start = 0
    for end in _SENTENCE_END.finditer(line):
        yield line[start : end.start(1)]
        start = end.end()
    if start < len(line):
        yield line[start:]


def _headline(text: SearchText) -> str:
    title = text.title
    if not title:
        found = _HEADING.search(text.content)
        title = found[1] if found else ""
    return f"{title} [{', '.join(text.tags)}]" if title and text.tags else title


def _densest(chunks: list[str], words: set[str]) -> tuple[str, int] | None:
    """The chunk with most of the words, and where in it to begin; `None` where there are none."""
    found = [_positions(chunk, words) for chunk in chunks]
    best = max(range(len(chunks)), key=lambda i: (len(found[i]), -i))
    if not found[best]:
        return None
    first = min(found[best].values())
    start = 0 if first < SNIPPET_CHARACTERS // 2 else chunks[best].rfind(" ", 0, first - 60) + 1
    return chunks[best], start


def _positions(chunk: str, words: set[str]) -> dict[str, int]:
    """Where each word begins that stands there, or begins another."""
    lowered = chunk.lower()
    found = {word: _find_word(lowered, word) for word in words}
    return {word: position for word, position in found.items() if position >= 0}


def _find_word(text: str, word: str) -> int:
    """Where the word begins, also in another; -1 where it stands only within others."""
    start = text.find(word)
    if _is_letter(word[0]):
        while start > 0 and _is_letter(text[start - 1]):
            start = text.find(word, start + 1)
    return start


def _is_letter(character: str) -> bool:
    return character.isalnum() or character == "_"
