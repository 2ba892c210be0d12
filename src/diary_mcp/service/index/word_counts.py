"""Words of entries, each counted once: a write looks for similar entries, and then is indexed."""

from collections import Counter, OrderedDict
from collections.abc import Sequence
from threading import Lock

from diary_mcp.domain.fields import EntryId
from diary_mcp.domain.version import SearchText

# As many as a burst writes before they are indexed; a few MiB at most.
_REMEMBERED = 128
_LONGEST_REMEMBERED = 4_000


class WordCounts:
    """Counts words, and remembers the last entries' counts. May be called from any thread."""

    def __init__(self) -> None:
        self._counted = OrderedDict[tuple[EntryId, int], Counter[str]]()
        self._lock = Lock()

    @property
    def is_warm(self) -> bool:
        """Whether anything was counted: the first time, what counts must be imported."""
        return bool(self._counted)

    def list_uncounted(self, texts: Sequence[SearchText]) -> list[SearchText]:
        """Those whose counts are not remembered."""
        return [text for text in texts if _key(text) not in self._counted]

    def count(self, texts: Sequence[SearchText]) -> dict[EntryId, Counter[str]]:
        """How often each term occurs in each of the entries; not to be changed."""
        # Importing it costs a tenth of a second.
        from diary_mcp.service.index.tokenizer import count_terms  # noqa: PLC0415  # late, see above

        return {
            text.id: self._recall(text) or self._keep(text, count_terms(text)) for text in texts
        }

    def _recall(self, text: SearchText) -> Counter[str] | None:
        return self._counted.get(_key(text))

    def _keep(self, text: SearchText, counts: Counter[str]) -> Counter[str]:
        if len(text.content) > _LONGEST_REMEMBERED:
            return counts
        with self._lock:
            self._counted[_key(text)] = counts
            while len(self._counted) > _REMEMBERED:
                self._counted.popitem(last=False)
        return counts


def _key(text: SearchText) -> tuple[EntryId, int]:
    return text.id, text.version
