"""What an agent should read when a session starts; imports no MCP, so that a hook is quick."""

from diary_mcp.domain.entry import Entry, EntryFilters
from diary_mcp.domain.errors import PermissionBackendUnavailableError
from diary_mcp.domain.fields import AgentName
from diary_mcp.server.resources.documents import Received, context_document
from diary_mcp.service.diary import Diary

_MAX_RECEIVED = 20


async def read_context(diary: Diary, agent: AgentName, current: str | None = None) -> str:
    """What an agent should know when a session starts, of the current diary where there is one."""
    context = await diary.reflection.recall(agent, current=current)
    if current is not None:
        # What was shared may be of another project.
        return context_document(context)
    return context_document(context, await list_received(diary, agent, context.last_handoff))


async def list_received(diary: Diary, agent: AgentName, handoff: Entry | None) -> list[Received]:
    """Entries that were shared with the agent since its last handoff, the newest first.

    None while the permission backend does not answer.
    """
    since = None if handoff is None else handoff.created_at
    try:
        filters = EntryFilters(scope="shared")
        page = await diary.listing.list_entries(agent, filters, None, _MAX_RECEIVED)
        shares = [await diary.sharing.find_received(agent, entry) for entry in page.rows]
    except PermissionBackendUnavailableError:
        return []
    return [
        (entry, share)
        for entry, share in zip(page.rows, shares, strict=True)
        if share is not None and (since is None or share.created_at > since)
    ]
