"""The diary: every use case, wired to one store and one permission backend."""

from dataclasses import dataclass, field

from diary_mcp.domain.fields import AgentName
from diary_mcp.service.access import Access
from diary_mcp.service.activity import Activity
from diary_mcp.service.browsing import BrowsingService
from diary_mcp.service.entries import EntryService
from diary_mcp.service.history import HistoryService
from diary_mcp.service.index.counting import WordCounts
from diary_mcp.service.index.ports import Embedder
from diary_mcp.service.ports import PermissionReader, Store
from diary_mcp.service.reflection import ReflectionService
from diary_mcp.service.search.searching import SearchService
from diary_mcp.service.search.similarity import SimilarityService
from diary_mcp.service.sharing import SharingService
from diary_mcp.service.signatures import SigningService
from diary_mcp.service.signing.chain import ChainSigning
from diary_mcp.service.signing.key_history import CheckSignature
from diary_mcp.service.suggestions import SuggestionService
from diary_mcp.service.verification import VerificationService
from diary_mcp.service.watching import Announcer, WatchService
from diary_mcp.service.writing import WritingService


@dataclass(frozen=True)
class Backends:
    """What the diary runs on, by name."""

    database: str
    permissions: str


@dataclass(frozen=True)
class Diary:
    """Everything that an agent can do."""

    entries: EntryService
    writing: WritingService
    sharing: SharingService
    browsing: BrowsingService
    search: SearchService
    similarity: SimilarityService
    reflection: ReflectionService
    verification: VerificationService
    history: HistoryService
    suggestions: SuggestionService
    watching: WatchService
    signing: SigningService
    agents: "AgentRegistry"
    activity: Activity
    backends: Backends


@dataclass(frozen=True)
class AgentRegistry:
    """Makes every agent known that calls a tool, so that others can share with it."""

    _store: Store
    # Agents are never removed, so what was registered once needs no second statement.
    _registered: set[AgentName] = field(default_factory=set[AgentName])

    async def register(self, agent: AgentName) -> None:
        """Raises: DatabaseUnavailableError: PostgreSQL gives no answer in time."""
        if agent in self._registered:
            return
        async with self._store.reading() as rows:
            await rows.agents.register(agent)
        self._registered.add(agent)


def build_diary(
    store: Store,
    permissions: PermissionReader,
    announcer: Announcer,
    backends: Backends,
    embedder: Embedder | None = None,
    *,
    check_signature: CheckSignature,
    signing: ChainSigning | None = None,
    activity: Activity | None = None,
    counts: WordCounts | None = None,
) -> Diary:
    """Wires the use cases. Nothing is opened here. Without `signing` all stays pending."""
    access = Access(store, permissions)
    entries = EntryService(store, access, signing or ChainSigning(None))
    similarity = SimilarityService(store, counts)
    return Diary(
        entries=entries,
        writing=WritingService(entries, similarity),
        sharing=SharingService(store, access),
        browsing=BrowsingService(store, permissions, access),
        search=SearchService(store, permissions, access, embedder),
        similarity=similarity,
        reflection=ReflectionService(store),
        verification=VerificationService(store, access, check_signature),
        history=HistoryService(store, access),
        suggestions=SuggestionService(store),
        signing=SigningService(store, signing or ChainSigning(None), check_signature),
        watching=WatchService(announcer, access, permissions),
        agents=AgentRegistry(store),
        activity=activity or Activity(),
        backends=backends,
    )
