"""Resources: the diary as documents that a client can attach or read."""

import json
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from urllib.parse import quote, unquote

import structlog
from mcp_types import (
    Annotations,
    ListResourcesResult,
    ListResourceTemplatesResult,
    PaginatedRequestParams,
    ReadResourceRequestParams,
    ReadResourceResult,
    Resource,
    ResourceTemplate,
    TextResourceContents,
)
from pydantic import BaseModel

from diary_mcp.domain.entry import EntryFilters, EntrySummary
from diary_mcp.domain.errors import NotFoundError, PermissionBackendUnavailableError
from diary_mcp.domain.fields import format_time
from diary_mcp.server.caller import Caller
from diary_mcp.server.confinement import require_within
from diary_mcp.server.dispatch import Dispatcher, RequestContext
from diary_mcp.server.errors import protocol_error
from diary_mcp.server.resources.context import read_context
from diary_mcp.server.resources.documents import (
    entry_document,
    history_document,
    one_line,
    recent_document,
    version_document,
)
from diary_mcp.server.tools.arguments import check_label
from diary_mcp.server.tools.results import as_json, tags_of, whoami_of
from diary_mcp.server.view.view import VIEW_URI, view_contents
from diary_mcp.service.diary import Diary
from diary_mcp.service.entries.listing import Page

_log = structlog.get_logger()

MARKDOWN = "text/markdown"
JSON = "application/json"
_MAX_RECENT = 20
_MAX_TAGS = 200
_LISTED_ON_A_PAGE = 50
_NAME_BYTES = 100
_SHARED_NOT_LISTED = (
    "Entries that others shared with you are not here: the permission backend does not answer. "
    "Read this again in a moment."
)
_ENTRY_URI = re.compile(
    r"diary://entries/(?P<reference>[^/?#]+)(?P<history>/versions(?:/(?P<version>\d{1,9}))?)?"
)

Reader = Callable[[Diary, Caller], Awaitable[str]]


@dataclass(frozen=True)
class Document:
    """A resource that is there for everybody, and reads from the caller's diary."""

    name: str
    title: str
    description: str
    mime_type: str
    read: Reader

    @property
    def uri(self) -> str:
        return f"diary://{self.name}"

    def described(self) -> Resource:
        return Resource(
            uri=self.uri,
            name=self.name,
            title=self.title,
            description=self.description,
            mime_type=self.mime_type,
        )


async def _read_context(diary: Diary, caller: Caller) -> str:
    return await read_context(diary, caller.agent, caller.diary)


async def _read_recent(diary: Diary, caller: Caller) -> str:
    try:
        page = await _list_newest(diary, caller, EntryFilters(scope="all"))
    except PermissionBackendUnavailableError:
        page = await _list_newest(diary, caller, EntryFilters(scope="mine"))
        return recent_document(page.rows, _SHARED_NOT_LISTED)
    return recent_document(page.rows, page.notice)


async def _list_newest(diary: Diary, caller: Caller, filters: EntryFilters) -> Page[EntrySummary]:
    return await diary.listing.list_entries(
        caller.agent, filters, None, _MAX_RECENT, current=caller.diary
    )


async def _read_tags(diary: Diary, caller: Caller) -> str:
    return _as_text(await tags_of(diary, caller, "", _MAX_TAGS))


async def _read_whoami(diary: Diary, caller: Caller) -> str:
    return _as_text(await whoami_of(diary, caller))


def _as_text(result: BaseModel) -> str:
    return json.dumps(as_json(result), ensure_ascii=False, separators=(",", ":"))


DOCUMENTS: Mapping[str, Document] = MappingProxyType(
    {
        document.uri: document
        for document in (
            Document(
                "context",
                "What to know when a session starts",
                "What is important, last handoff, what was shared with you, open problems, recent "
                "decisions and notes; 2,000 tokens at most.",
                MARKDOWN,
                _read_context,
            ),
            Document(
                "recent",
                "Recent entries",
                f"The {_MAX_RECENT} newest entries: yours, and those shared with you.",
                MARKDOWN,
                _read_recent,
            ),
            Document(
                "tags",
                "Tags",
                f"Your {_MAX_TAGS} most used tags with counts, as diary_tags gives them.",
                JSON,
                _read_tags,
            ),
            Document(
                "whoami",
                "Who am I",
                "Your name, groups and counts, and the server, as diary_whoami gives them.",
                JSON,
                _read_whoami,
            ),
        )
    }
)
TEMPLATES = (
    ResourceTemplate(
        uri_template="diary://entries/{entry_id}",
        name="entry",
        title="An entry",
        description="An entry in full, by id or by your own key: front matter and Markdown.",
        mime_type=MARKDOWN,
    ),
    ResourceTemplate(
        uri_template="diary://entries/{entry_id}/versions",
        name="versions",
        title="The versions of an entry",
        description="Every version of an entry of yours, the newest first, without the content.",
        mime_type=JSON,
    ),
    ResourceTemplate(
        uri_template="diary://entries/{entry_id}/versions/{version}",
        name="version",
        title="One version of an entry",
        description="What an entry of yours said at one version: front matter and Markdown.",
        mime_type=MARKDOWN,
    ),
)


class Resources:
    """Answers `resources/list`, `resources/templates/list` and `resources/read`."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher

    async def list(
        self, context: RequestContext, params: PaginatedRequestParams | None
    ) -> ListResourcesResult:
        """The documents, then the caller's own entries, newest first, page by page."""
        cursor = None if params is None else params.cursor
        caller = self._dispatcher.caller_of(context)

        async def ask(diary: Diary) -> Page[EntrySummary]:
            return await diary.listing.list_entries(
                caller.agent,
                EntryFilters(scope="mine"),
                cursor,
                _LISTED_ON_A_PAGE,
                current=caller.diary,
            )

        try:
            page = await self._dispatcher.admit(caller, "diary:read", "resources/list", ask)
        except Exception as error:  # the boundary: every failure becomes an answer
            raise protocol_error(error, "resources/list", context.protocol_version) from error
        fixed = [] if cursor else [document.described() for document in DOCUMENTS.values()]
        return ListResourcesResult(
            resources=[*fixed, *map(_described, page.rows)], next_cursor=page.next_cursor
        )

    async def list_templates(
        self, _context: RequestContext, _params: PaginatedRequestParams | None
    ) -> ListResourceTemplatesResult:
        return ListResourceTemplatesResult(resource_templates=list(TEMPLATES))

    async def read(
        self, context: RequestContext, params: ReadResourceRequestParams
    ) -> ReadResourceResult:
        if params.uri == VIEW_URI:
            return ReadResourceResult(contents=[view_contents()])
        caller = self._dispatcher.caller_of(context)

        async def ask(diary: Diary) -> tuple[str, str]:
            return await read_resource(diary, caller, params.uri)

        try:
            mime_type, text = await self._dispatcher.admit(caller, "diary:read", params.uri, ask)
        except Exception as error:  # the boundary: every failure becomes an answer
            raise protocol_error(
                error, params.uri, context.protocol_version, uri=params.uri
            ) from error
        _log.info("resource.read", agent=caller.agent)
        return ReadResourceResult(
            contents=[TextResourceContents(uri=params.uri, mime_type=mime_type, text=text)]
        )


async def read_resource(diary: Diary, caller: Caller, uri: str) -> tuple[str, str]:
    """The MIME type and the text of a resource.

    Raises:
        NotFoundError: there is no such resource that the agent may read.
        ForbiddenError: the versions of an entry that is only shared with the agent.
        InvalidArgumentError: the URI names an entry by what can be neither id nor key.
    """
    if uri in DOCUMENTS:
        return DOCUMENTS[uri].mime_type, await DOCUMENTS[uri].read(diary, caller)
    agent = caller.agent
    found = _ENTRY_URI.fullmatch(uri)
    reference = find_entry_reference(uri)
    if found is None or reference is None:
        raise NotFoundError(
            f"There is no resource {uri!r}; there are {', '.join(DOCUMENTS)}, and "
            "diary://entries/ with an entry's id or a key of yours."
        )
    if found["history"] is not None:
        await require_within(diary, caller, reference)
    if found["version"] is not None:
        version = await diary.history.get_version(agent, reference, int(found["version"]))
        return MARKDOWN, version_document(reference, version)
    if found["history"] is not None:
        return JSON, history_document(await diary.history.list_versions(agent, reference))
    return MARKDOWN, await read_entry(diary, caller, reference)


async def read_entry(diary: Diary, caller: Caller, reference: str) -> str:
    """An entry as a document; of a shared one also by whom, until when and why."""
    await require_within(diary, caller, reference)
    entry = await diary.entries.get(caller.agent, reference)
    share = await diary.sharing.find_received(caller.agent, entry)
    return entry_document(entry, share, caller.name_of(entry))


def find_entry_reference(uri: str) -> str | None:
    """The id or key that an address of an entry, or of its versions, names; else `None`.

    Raises:
        InvalidArgumentError: it can be neither.
    """
    found = _ENTRY_URI.fullmatch(uri)
    return None if found is None else check_label("entry_id", unquote(found["reference"]))


def entry_uri(reference: str) -> str:
    """The URI of an entry, by its id or a key."""
    return f"diary://entries/{quote(reference, safe='')}"


def _described(entry: EntrySummary) -> Resource:
    return Resource(
        uri=entry_uri(str(entry.id)),
        name=one_line(entry.key or str(entry.id), _NAME_BYTES),
        title=one_line(entry.title or entry.snippet, _NAME_BYTES),
        description=f"{entry.type} of {entry.date.date()}",
        mime_type=MARKDOWN,
        annotations=Annotations(
            priority=entry.importance, last_modified=format_time(entry.updated_at)
        ),
    )
