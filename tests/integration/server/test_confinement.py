"""A token for one diary reaches what is in it, and by no door anything else."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import cast

import pytest
from mcp.client.client import Client
from mcp.shared.exceptions import MCPError
from mcp_types import PromptReference, ResourceTemplateReference, TextContent

from diary_mcp.app import Foundation
from diary_mcp.domain.entry import EntryDiary
from diary_mcp.domain.fields import AgentName
from diary_mcp.domain.scopes import TOKEN_SCOPES
from support.clients import ERAS, Era, Json
from support.in_memory import InMemory, good, refusal
from support.watching import ear, subscribe

pytestmark = pytest.mark.anyio
ANN = AgentName("ann")
BOB = AgentName("bob")
UNKNOWN = "01a20000-0000-7000-8000-000000000000"
OUTSIDE_WORDS = ("outside", "elsewhere")


@dataclass
class Confined:
    """ann with a token for her diary `work`, and what she has elsewhere."""

    memory: InMemory
    only: EntryDiary
    client: Client
    free: Client
    inside: str
    outside: tuple[str, ...]
    """Ids of her own in `main` and `other`, of bob's in his team's diary, and one he shared."""


@pytest.fixture
async def confined(foundation: Foundation) -> AsyncGenerator[Confined]:
    memory = InMemory(foundation, ERAS[-1])
    async with memory.client("ann") as free, memory.client("bob") as bob:
        await good(free, "diary_diaries", open="other")
        for name in ("team", "private"):
            await good(bob, "diary_diaries", open=name)
        await good(bob, "diary_share", diary="team", with_="ann", role="writer")
        outside = [
            await good(
                free, "diary_create", content="Kept outside.", title=f"outside {name}",
                type="handoff", tags=["outside-tag"], session="outside-session",
                key=f"outside-{name}", importance=1, diary=name, idempotency_key=name,
            )
            for name in ("main", "other")
        ]  # fmt: skip
        outside += [
            await good(bob, "diary_create", content="Bob's, elsewhere.", diary=name)
            for name in ("team", "private")
        ]
        await good(bob, "diary_share", entry_id=outside[3]["id"], with_="ann")
        await memory.settle_all()
        only = await foundation.diary.diaries.find_for_token(ANN, "work")
        async with memory.client("ann", diary="work", only=only) as client:
            inside = await good(
                client, "diary_create", content="At work, inside.", tags=["in"], session="in"
            )
            ids = tuple(str(each["id"]) for each in outside)
            yield Confined(memory, only, client, free, str(inside["id"]), ids)


async def test_what_is_in_the_diary_is_open(confined: Confined) -> None:
    client, inside = confined.client, confined.inside

    for tool, name in (("diary_list", "entries"), ("diary_search", "hits")):
        for scope in ({}, {"scope": "all"}, {"diary": "work"}, {"diary": "ann/work"}):
            query = {"query": "inside outside elsewhere"} if tool == "diary_search" else {}
            found = await good(client, tool, **query, **scope)
            assert [each["id"] for each in cast("list[Json]", found[name])] == [inside]
    assert (await good(client, "diary_get", entry_id=inside))["content"]
    verified = await good(client, "diary_verify", entry_id=inside)
    assert "chain" not in verified
    assert (await good(client, "diary_whoami"))["counts"] == {"entries": 1, "shared": 0}
    diaries = cast("list[Json]", (await good(client, "diary_diaries", open="work"))["diaries"])
    assert [each["diary"] for each in diaries] == ["work"]
    assert (await good(client, "diary_tags"))["tags"] == [{"tag": "in", "count": 1}]
    assert (await good(client, "diary_reflect"))["entries"] == 1
    await good(client, "diary_share", entry_id=inside, with_="bob")
    await good(client, "diary_share", diary="work", with_="bob")
    await good(confined.free, "diary_share", diary="other", with_="bob")
    shares = cast("list[Json]", (await good(client, "diary_shares"))["shares"])
    assert [share["diary"] for share in shares] == ["work"]
    await good(client, "diary_update", entry_id=inside, expected_version=1, title="Inside")
    await good(client, "diary_delete", entry_id=inside)


async def test_no_tool_reaches_another_diary(confined: Confined) -> None:
    for name in ("main", "other", "bob/team", "bob/private", "nobody/none", "*", "a/b/c"):
        for tool, arguments in (
            ("diary_list", {}), ("diary_search", {"query": "outside"}), ("diary_tags", {}),
            ("diary_reflect", {}), ("diary_create", {"content": "Out."}), ("diary_shares", {}),
            ("diary_share", {"with_": "bob"}), ("diary_unshare", {"with_": "bob"}),
            ("diary_update", {"entry_id": confined.inside, "expected_version": 1}),
        ):  # fmt: skip
            told = await refusal(confined.client, tool, diary=name, **arguments)
            assert told.startswith("forbidden"), tool
    told = await refusal(confined.client, "diary_diaries", open="another")
    assert told.startswith("forbidden")
    assert (await refusal(confined.client, "diary_verify")).startswith("forbidden")


async def test_no_tool_reaches_an_entry_outside(confined: Confined) -> None:
    for reference in (*confined.outside, "outside-main", "outside-other"):
        for tool, arguments in (
            ("diary_get", {}), ("diary_get", {"version": 1}), ("diary_delete", {}),
            ("diary_verify", {}), ("diary_update", {"expected_version": 1, "title": "Mine"}),
            ("diary_update", {"expected_version": 1, "diary": "work"}), ("diary_shares", {}),
            ("diary_share", {"with_": "bob"}), ("diary_unshare", {"with_": "bob"}),
        ):  # fmt: skip
            told = await refusal(confined.client, tool, entry_id=reference, **arguments)
            unknown = await refusal(confined.client, tool, entry_id=UNKNOWN, **arguments)
            assert told == unknown.replace(UNKNOWN, reference)
            assert told.startswith("not_found")
        for tool, arguments in (
            ("diary_create", {"content": "Corrected."}),
            ("diary_update", {"entry_id": confined.inside, "expected_version": 1}),
        ):
            told = await refusal(confined.client, tool, supersedes=[reference], **arguments)
            assert told.startswith("not_found")
    repeated = await refusal(
        confined.client, "diary_create", content="Kept outside.", idempotency_key="main"
    )
    assert repeated.startswith("conflict")
    for outside in confined.outside[:2]:
        assert (await good(confined.free, "diary_get", entry_id=outside))["version"] == 1


async def test_no_key_of_the_agent_is_changed_and_nothing_outside_is_signed(
    confined: Confined,
) -> None:
    signing = InMemory(confined.memory.foundation, ERAS[-1], has_keys=False)
    async with signing.client("ann", TOKEN_SCOPES, diary="work", only=confined.only) as client:
        key = "ed25519:" + "A" * 43
        for act in ("admit", "revoke"):
            told = await refusal(client, "diary_signature_request", **{act: key})
            assert told.startswith("forbidden")
        for outside in confined.outside:
            told = await refusal(client, "diary_signature_request", entry_id=outside, key=key)
            assert told.startswith("not_found")


async def test_no_resource_prompt_or_completion_reaches_outside(confined: Confined) -> None:
    client = confined.client
    listed = (await client.list_resources()).resources
    told = "".join(each.model_dump_json() for each in listed)
    for name in ("context", "recent", "tags", "whoami"):
        told += (await client.read_resource(f"diary://{name}")).model_dump_json()
    for prompt, arguments in (
        ("session_start", {}), ("handoff", {}), ("decision", {"subject": "outside elsewhere"}),
        ("reflection", {}), ("incident", {"what": "outside elsewhere"}),
    ):  # fmt: skip
        for message in (await client.get_prompt(prompt, arguments)).messages:
            assert isinstance(message.content, TextContent)
            # What was asked for is repeated.
            told += message.content.text.replace("outside elsewhere", "")
    assert "inside" in told
    for word in OUTSIDE_WORDS:
        assert word not in told.replace("inside", "")
    for reference in (*confined.outside, "outside-main"):
        for end in ("", "/versions", "/versions/1"):
            with pytest.raises(MCPError, match="not_found"):
                await client.read_resource(f"diary://entries/{reference}{end}")
        with pytest.raises(MCPError, match="not_found"):
            await client.get_prompt("correction", {"entry_id": reference})
    assert await client.read_resource(f"diary://entries/{confined.inside}/versions")


async def test_no_completion_reaches_outside(confined: Confined) -> None:
    client = confined.client
    for prompt, name, expected in (
        ("correction", "entry_id", [confined.inside]), ("decision", "tag", ["in"]),
        ("handoff", "session", ["in"]),
    ):  # fmt: skip
        completed = await client.complete(PromptReference(name=prompt), {"name": name, "value": ""})
        assert completed.completion.values == expected
    template = ResourceTemplateReference(uri="diary://entries/{entry_id}/versions/{version}")
    for reference, expected in ((confined.outside[0], []), (confined.inside, ["1"])):
        completed = await client.complete(
            template, {"name": "version", "value": ""}, {"entry_id": reference}
        )
        assert completed.completion.values == expected


@pytest.mark.parametrize("era", ERAS)
async def test_nothing_outside_is_watched_and_what_leaves_no_more(
    confined: Confined, era: Era
) -> None:
    last = await good(confined.client, "diary_create", content="The last.")
    leaving, staying = (f"diary://entries/{each}" for each in (confined.inside, last["id"]))
    uris = [leaving, staying]
    if era != "2025-11-25":
        uris += [f"diary://entries/{each}" for each in confined.outside]

    async def change(entry_id: str, version: int, **changes: str) -> None:
        asked: Json = {"entry_id": entry_id, "expected_version": version, **changes}
        await good(confined.free, "diary_update", **asked)

    foundation, only = confined.memory.foundation, confined.only
    async with ear(foundation, era, "ann", *uris, only=only) as ann:
        if era == "2025-11-25":
            with pytest.raises(MCPError, match="not_found"):
                await subscribe(ann.client, f"diary://entries/{confined.outside[0]}")
        await change(confined.outside[0], 1, title="Changed")
        await change(confined.inside, 1, title="a")
        assert await ann.hears() == leaving
        await change(confined.inside, 2, diary="main")
        assert await ann.hears() == leaving, "of the end, once"
        await change(confined.inside, 3, title="b")
        await change(str(last["id"]), 1, title="c")
        assert await ann.hears() == staying


async def test_who_lost_the_diary_is_told_of_no_other(confined: Confined) -> None:
    memory = confined.memory
    async with memory.client("bob") as bob:
        await good(bob, "diary_diaries", open="wor")
        await good(bob, "diary_share", diary="wor", with_="ann")
        only = await memory.foundation.diary.diaries.find_for_token(BOB, "wor")
        await memory.settle_all()
        async with memory.client("ann", diary="bob/wor", only=only) as client:
            await good(client, "diary_list")
            await good(bob, "diary_unshare", diary="wor", with_="ann")

            told = [
                await refusal(client, "diary_list"),
                await refusal(client, "diary_search", query="outside"),
                await refusal(client, "diary_create", content="Late."),
            ]
            with pytest.raises(MCPError, match="not_found") as read:
                await client.read_resource("diary://context")

    for each in (*told, str(read.value)):
        assert "not_found" in each
        assert not any(name in each for name in ("work", "bob/team"))
