"""The entry that the end of a session leaves: one for each session, with facts alone."""

from diary_mcp.app import open_foundation, settle_beside_queue
from diary_mcp.domain.entry import EntryChanges, EntryDraft
from diary_mcp.domain.errors import ConflictError
from diary_mcp.plugins.session_facts import SessionFacts
from diary_mcp.service.entries.entries import EntryService
from diary_mcp.settings import Settings

_IMPORTANCE = 0.1
"""Of what no person and no model has written: the context does not name it."""


async def keep_facts(settings: Settings, session: str, facts: SessionFacts) -> None:
    """Writes the session's entry, or a new version of it where it did more since.

    Raises:
        DiaryError: the diary cannot be opened or written, and why.
    """
    async with (
        open_foundation(settings, with_keys=True) as foundation,
        settle_beside_queue(foundation),
    ):
        await _keep(foundation.diary.entries, settings, session, facts)


async def _keep(
    entries: EntryService, settings: Settings, session: str, facts: SessionFacts
) -> None:
    draft = EntryDraft(
        title=facts.title,
        content=facts.content,
        type="progress",
        importance=_IMPORTANCE,
        session=session,
        key=f"session/{session}",
    )
    try:
        await entries.create(settings.agent, draft, current=settings.current_diary)
    except ConflictError:
        present = await entries.get(settings.agent, f"session/{session}")
        if (present.title, present.content) != (draft.title, draft.content):
            changes = EntryChanges(title=draft.title, content=draft.content)
            await entries.update(settings.agent, str(present.id), present.version, changes)
