"""The diary: every use case, wired to one store and one permission backend."""

from dataclasses import dataclass

from diary_mcp.domain.credentials import CredentialDoor
from diary_mcp.service.activity import Activity
from diary_mcp.service.agents.authentication import AgentRegistry
from diary_mcp.service.chain.key_history import CheckSignature
from diary_mcp.service.chain.links import ChainSigning
from diary_mcp.service.diaries.diaries import DiaryService
from diary_mcp.service.entries.access import Access
from diary_mcp.service.entries.cursors import Cursors
from diary_mcp.service.entries.entries import EntryService
from diary_mcp.service.entries.listing import ListingService, SuggestionService
from diary_mcp.service.entries.reflection import ReflectionService
from diary_mcp.service.entries.similarity import SimilarityService
from diary_mcp.service.entries.target_diary import Places
from diary_mcp.service.entries.versions import HistoryService
from diary_mcp.service.entries.watching import WatchService
from diary_mcp.service.index.tokenizer import WordCounts
from diary_mcp.service.ports.entries import Announcer
from diary_mcp.service.ports.index import Embedder
from diary_mcp.service.ports.permissions import PermissionReader
from diary_mcp.service.ports.store import Store
from diary_mcp.service.search.search import SearchService
from diary_mcp.service.sharing.audit_trail import TrailService
from diary_mcp.service.sharing.shares import SharingService
from diary_mcp.service.signing.signatures import SigningService
from diary_mcp.service.signing.verification import VerificationService


@dataclass(frozen=True)
class BackendNames:
    """What the diary runs on, by name."""

    database: str
    permissions: str


@dataclass(frozen=True)
class Diary:
    """Everything that an agent can do."""

    entries: EntryService
    sharing: SharingService
    trail: TrailService
    diaries: DiaryService
    places: Places
    listing: ListingService
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
    backends: BackendNames


def build_diary(
    store: Store,
    permissions: PermissionReader,
    announcer: Announcer,
    backends: BackendNames,
    embedder: Embedder | None = None,
    *,
    check_signature: CheckSignature,
    signing: ChainSigning | None = None,
    activity: Activity | None = None,
    counts: WordCounts | None = None,
    door: CredentialDoor | None = None,
    cursors: Cursors | None = None,
) -> Diary:
    """Wires the use cases. Nothing is opened here. Without `signing` all stays pending."""
    access = Access(store, permissions)
    places = Places(store, permissions, access)
    similarity = SimilarityService(store, counts)
    signing = signing or ChainSigning(None)
    door = door or CredentialDoor()
    cursors = cursors or Cursors()
    return Diary(
        entries=EntryService(store, access, signing, similarity, door=door, places=places),
        sharing=SharingService(store, access, door),
        trail=TrailService(store, cursors),
        listing=ListingService(store, permissions, access, places, cursors),
        search=SearchService(store, permissions, access, embedder, places=places, cursors=cursors),
        diaries=DiaryService(store, permissions, access, places, door=door, cursors=cursors),
        places=places,
        similarity=similarity,
        reflection=ReflectionService(store, places),
        verification=VerificationService(store, access, check_signature, signing),
        history=HistoryService(store, access),
        suggestions=SuggestionService(store),
        signing=SigningService(store, signing, check_signature),
        watching=WatchService(announcer, access, permissions),
        agents=AgentRegistry(store),
        activity=activity or Activity(),
        backends=backends,
    )
