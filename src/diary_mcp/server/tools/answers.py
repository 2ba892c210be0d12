"""Answers that a tool and a resource have in common."""

from importlib.metadata import version

from diary_mcp.domain.fields import AgentName
from diary_mcp.server.tools.results import (
    Backends,
    Counts,
    Signing,
    TagResult,
    TagsResult,
    WhoamiResult,
)
from diary_mcp.service.diary import Diary


async def tags_of(diary: Diary, agent: AgentName, prefix: str, limit: int) -> TagsResult:
    """The agent's own tags, the most used first."""
    counts = await diary.browsing.list_tags(agent, prefix, limit)
    return TagsResult(tags=[TagResult(**count) for count in counts])


async def identity_of(diary: Diary, agent: AgentName) -> WhoamiResult:
    """Who the agent is, and what the server runs on."""
    identity = await diary.browsing.identify(agent)
    chain = await diary.signing.describe(agent)
    return WhoamiResult(
        agent=identity.agent,
        groups=identity.groups,
        counts=Counts(**identity.counts),
        version=version("diary-mcp"),
        backends=Backends(database=diary.backends.database, permissions=diary.backends.permissions),
        signing=Signing(
            sequence=chain.sequence, head=chain.hash, keys=list(chain.keys), key=chain.key
        ),
    )
