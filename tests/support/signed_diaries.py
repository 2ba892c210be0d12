"""Diaries whose owner signs, and what checking them found."""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from diary_mcp.app import Foundation, lay_foundation
from diary_mcp.domain.chain import ChainHead, PublicKey
from diary_mcp.domain.entry import Entry, EntryDraft
from diary_mcp.domain.fields import AgentName
from diary_mcp.domain.verification import VerificationReport
from diary_mcp.files.bundle import BUNDLE_NAME, export_bundle
from diary_mcp.service.chain.links import KeyChange
from diary_mcp.settings import Settings
from support.independent_check import Findings, check_bundle

ALICE = AgentName("alice")


@asynccontextmanager
async def signed_diary(
    database_url: str, data_dir: Path, agent: AgentName = ALICE
) -> AsyncGenerator[Foundation]:
    """The diary as a machine with its own data directory opens it."""
    settings = Settings(database_url=database_url, data_dir=data_dir, agent=agent)
    async with lay_foundation(database_url, settings, with_keys=True) as foundation:
        yield foundation


async def write(foundation: Foundation, content: str = "What happened.", **fields: object) -> Entry:
    draft = EntryDraft.model_validate({"content": content, **fields})
    return await foundation.diary.entries.create(ALICE, draft)


async def take_over(foundation: Foundation) -> PublicKey:
    """Lets this machine sign, which no key of the chain has admitted; its own key."""
    own = (await foundation.diary.signing.describe(ALICE)).key
    assert own is not None
    await foundation.diary.signing.change_keys(ALICE, [KeyChange("admit", own)], by_takeover=True)
    return own


async def silent(_done: int, _total: int) -> None:
    """Progress that nobody asked for."""


async def verify(
    foundation: Foundation,
    remembered: ChainHead | None = None,
    trusted: tuple[PublicKey, ...] = (),
) -> VerificationReport:
    return await foundation.diary.verification.verify_all(
        ALICE, silent, remembered=remembered, trusted=trusted
    )


async def head_of(foundation: Foundation) -> ChainHead:
    """What `diary_whoami` tells to remember."""
    state = await foundation.diary.signing.describe(ALICE)
    assert state.hash is not None
    return ChainHead(sequence=state.sequence, hash=state.hash)


async def check_elsewhere(
    foundation: Foundation, directory: Path, remembered: ChainHead | None = None
) -> Findings:
    """What the other implementation finds in a bundle of the diary."""
    await export_bundle(directory, owner=ALICE, store=foundation.store)
    head = None if remembered is None else (remembered.sequence, remembered.hash)
    return check_bundle((directory / BUNDLE_NAME).read_text("utf-8"), head=head)


def first_broken(report: VerificationReport) -> int | None:
    assert report.chain is not None
    broken = report.chain.broken
    return None if broken is None else int(broken.removeprefix("link ").partition(":")[0])


async def run_sql(foundation: Foundation, statement: str) -> list[tuple[object, ...]]:
    """What an operator types."""
    async with foundation.database.connection() as connection:
        cursor = await connection.execute(statement.encode())
        return await cursor.fetchall() if cursor.description else []


async def statements(foundation: Foundation) -> list[dict[str, object]]:
    """The chain, as it stands in the database."""
    rows = await run_sql(foundation, "select statement from diary.link order by sequence")
    return [json.loads(str(statement)) for (statement,) in rows]
