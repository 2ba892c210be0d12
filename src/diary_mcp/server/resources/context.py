"""What an agent should read when a session starts; imports no MCP, so that a hook is quick."""

from datetime import datetime

from diary_mcp.domain.diaries import DiaryShare
from diary_mcp.domain.entry import Entry, summary_of
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
    """What was shared with the agent since its last handoff, the latest first.

    None while the permission backend does not answer.
    """
    since = None if handoff is None else handoff.created_at
    try:
        entries = await diary.sharing.list_received(agent, since, _MAX_RECEIVED)
        diaries = await diary.diaries.list_received(agent, since, _MAX_RECEIVED)
    except PermissionBackendUnavailableError:
        return []
    received = [(summary_of(entry), share) for entry, share in entries]
    return sorted((*received, *diaries), key=_came_at, reverse=True)[:_MAX_RECEIVED]


def _came_at(received: Received) -> datetime:
    share = received if isinstance(received, DiaryShare) else received[1]
    return share.created_at
