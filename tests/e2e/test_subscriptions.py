"""Subscriptions: what another process changes is told to those who may know of it."""

import signal
from collections.abc import AsyncGenerator, Generator
from uuid import uuid4

import anyio
import anyio.to_thread
import psycopg
import pytest
from mcp.client.client import Client
from mcp.client.subscriptions import ResourceUpdated
from mcp.shared.exceptions import MCPError

from diary_mcp.app import Foundation, open_foundation
from diary_mcp.domain.entry import Entry, EntryChanges, EntryDraft
from diary_mcp.domain.errors import UnavailableError
from diary_mcp.domain.fields import AgentName, Grantee, GroupName
from diary_mcp.server.resources.watchers import Watchers
from diary_mcp.service.diary import Diary
from diary_mcp.settings import Settings
from support.clients import ERAS, Era, environment, sdk_client
from support.http_servers import HttpServer, http_server, issue_token, sdk_http_client
from support.in_memory import InMemory
from support.watching import Ear, ear, subscribe, unsubscribe

pytestmark = pytest.mark.anyio

ALICE = AgentName("alice")
BOB = Grantee("bob")
ABSENT = "diary://entries/01a209f7-3236-76fc-9537-63feee86b6c8"


class Elsewhere:
    """Another process on the same diary, in which alice works."""

    def __init__(self, foundation: Foundation, era: Era) -> None:
        self._foundation = foundation
        self._diary = foundation.diary
        self.era: Era = era

    async def write(self, **fields: object) -> Entry:
        draft = EntryDraft.model_validate({"content": "What happened.", **fields})
        return await self._diary.entries.create(ALICE, draft)

    async def change(self, entry: Entry) -> None:
        changes = EntryChanges(content=uuid4().hex)
        present = await self._diary.entries.get(ALICE, str(entry.id))
        await self._diary.entries.update(ALICE, str(entry.id), present.version, changes)

    async def delete(self, entry: Entry) -> None:
        await self._diary.entries.delete(ALICE, str(entry.id))

    async def share(self, entry: Entry, grantee: Grantee) -> None:
        await self._diary.agents.register(AgentName("bob"))
        await self._diary.sharing.share(ALICE, str(entry.id), grantee)
        await InMemory(self._foundation, self.era).settle(entry.id)

    async def unshare(self, entry: Entry, grantee: Grantee) -> None:
        await self._diary.sharing.unshare(ALICE, str(entry.id), grantee)


def uri(entry: Entry) -> str:
    return f"diary://entries/{entry.id}"


@pytest.fixture(params=ERAS)
async def elsewhere(request: pytest.FixtureRequest, database_url: str) -> AsyncGenerator[Elsewhere]:
    async with open_foundation(Settings(database_url=database_url)) as opened:
        yield Elsewhere(opened, request.param)


async def test_a_change_by_another_process_is_told(
    foundation: Foundation, elsewhere: Elsewhere
) -> None:
    entry = await elsewhere.write()

    async with ear(foundation, elsewhere.era, "alice", uri(entry)) as alice:
        await elsewhere.change(entry)
        changed = await alice.hears()
        await elsewhere.delete(entry)
        deleted = await alice.hears()

    assert changed == deleted == uri(entry)


async def test_what_is_not_watched_is_not_told(
    foundation: Foundation, elsewhere: Elsewhere
) -> None:
    watched, other = await elsewhere.write(), await elsewhere.write()

    async with ear(foundation, elsewhere.era, "alice", uri(watched)) as alice:
        await elsewhere.change(other)
        await elsewhere.change(watched)

        assert await alice.hears() == uri(watched)
        assert alice.hears_nothing_more()


async def test_an_address_by_key_and_that_of_the_versions_are_told_as_they_were_given(
    foundation: Foundation, elsewhere: Elsewhere
) -> None:
    entry = await elsewhere.write(key="my notes")
    addresses = ["diary://entries/my%20notes", f"{uri(entry)}/versions"]

    async with ear(foundation, elsewhere.era, "alice", *addresses) as alice:
        await elsewhere.change(entry)

        assert {await alice.hears(), await alice.hears()} == set(addresses)


async def test_being_superseded_and_not_any_more_is_a_change(
    foundation: Foundation, elsewhere: Elsewhere
) -> None:
    entry = await elsewhere.write()

    async with ear(foundation, elsewhere.era, "alice", uri(entry)) as alice:
        newer = await elsewhere.write(supersedes=str(entry.id))
        superseded = await alice.hears()
        await elsewhere.delete(newer)
        not_any_more = await alice.hears()

    assert superseded == not_any_more == uri(entry)


async def test_a_viewer_hears_until_the_share_ends_and_of_its_end(
    foundation: Foundation, elsewhere: Elsewhere
) -> None:
    shared, kept = await elsewhere.write(), await elsewhere.write()
    for entry in (shared, kept):
        await elsewhere.share(entry, BOB)

    async with ear(foundation, elsewhere.era, "bob", uri(shared), uri(kept)) as bob:
        await elsewhere.change(shared)
        changed = await bob.hears()
        await elsewhere.unshare(shared, BOB)
        ended = await bob.hears()
        await elsewhere.change(shared)
        await elsewhere.delete(shared)
        await elsewhere.change(kept)
        afterwards = await bob.hears()

        assert (changed, ended, afterwards) == (uri(shared), uri(shared), uri(kept))
        assert bob.hears_nothing_more()


async def test_a_viewer_hears_that_a_shared_entry_is_gone(
    foundation: Foundation, elsewhere: Elsewhere
) -> None:
    entry = await elsewhere.write()
    await elsewhere.share(entry, BOB)

    async with ear(foundation, elsewhere.era, "bob", uri(entry)) as bob:
        await elsewhere.delete(entry)

        assert await bob.hears() == uri(entry)


async def test_a_member_hears_through_the_group_and_nothing_after_leaving_it(
    foundation: Foundation, elsewhere: Elsewhere
) -> None:
    group = GroupName("friends")
    async with foundation.database.connection() as connection:
        await connection.execute("insert into diary.agent_group (name) values ('friends')")
    await foundation.permissions.add(group, BOB)
    shared, kept = await elsewhere.write(), await elsewhere.write()
    await elsewhere.share(shared, Grantee("group:friends"))
    await elsewhere.share(kept, BOB)

    async with ear(foundation, elsewhere.era, "bob", uri(shared), uri(kept)) as bob:
        await elsewhere.change(shared)
        as_member = await bob.hears()
        await foundation.permissions.remove(group, BOB)
        await elsewhere.change(shared)
        await elsewhere.delete(shared)
        await elsewhere.change(kept)

        assert (as_member, await bob.hears()) == (uri(shared), uri(kept))
        assert bob.hears_nothing_more()


async def test_after_a_lost_connection_everything_watched_is_told(
    foundation: Foundation, elsewhere: Elsewhere, database_url: str
) -> None:
    entry = await elsewhere.write()

    async with ear(foundation, elsewhere.era, "alice", uri(entry)) as alice:
        await _cut_listeners(database_url)
        told = await alice.hears()
        await elsewhere.change(entry)

        assert (told, await alice.hears()) == (uri(entry), uri(entry))


async def _cut_listeners(database_url: str) -> None:
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        await connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where query like '%listen diary_entry' and datname = current_database()"
        )


async def test_watching_begins_as_soon_as_the_diary_is_up(foundation: Foundation) -> None:
    elsewhere = Elsewhere(foundation, "2026-07-28")
    entry = await elsewhere.write()
    failures = iter([UnavailableError("not yet")])
    heard = anyio.Event()

    async def provide() -> Diary:
        for failure in failures:
            raise failure
        return foundation.diary

    async def tell(address: str) -> None:
        assert address == "x"
        heard.set()

    watchers = Watchers(provide)
    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(watchers.run)
            async with watchers.watching(ALICE, {entry.id: frozenset({"x"})}, tell):
                await elsewhere.change(entry)
                await heard.wait()
            tasks.cancel_scope.cancel()


async def test_only_addresses_of_entries_that_one_may_read_are_honored(
    foundation: Foundation, database_url: str
) -> None:
    del database_url
    hers = await foundation.diary.entries.create(ALICE, EntryDraft(content="hers"))
    mine = await foundation.diary.entries.create(AgentName("bob"), EntryDraft(content="mine"))
    asked = [uri(hers), uri(mine), ABSENT, "diary://recent", "diary://entries/%00"]

    async with (
        ear(foundation, "2026-07-28", "bob") as bob,
        bob.client.listen(resource_subscriptions=asked, tools_list_changed=True) as subscription,
    ):
        honored = subscription.honored

    assert honored.resource_subscriptions == [uri(mine)]
    assert honored.tools_list_changed is None


@pytest.mark.parametrize("address", [ABSENT, "diary://context", "diary://nothing"])
async def test_what_cannot_be_watched_cannot_be_subscribed_to(
    foundation: Foundation, address: str
) -> None:
    async with ear(foundation, "2025-11-25", "alice") as alice:
        with pytest.raises(MCPError, match="not_found: ") as raised:
            await subscribe(alice.client, address)

    assert raised.value.code == -32002


async def test_a_subscription_that_was_ended_is_silent(
    foundation: Foundation,
) -> None:
    elsewhere = Elsewhere(foundation, "2025-11-25")
    ended, kept = await elsewhere.write(), await elsewhere.write()

    async with ear(foundation, "2025-11-25", "alice", uri(ended), uri(ended), uri(kept)) as alice:
        await unsubscribe(alice.client, uri(ended))
        await unsubscribe(alice.client, uri(ended))
        await elsewhere.change(ended)
        await elsewhere.change(kept)

        assert await alice.hears() == uri(kept)
        assert alice.hears_nothing_more()


@pytest.mark.parametrize("era", ERAS)
async def test_no_more_than_a_hundred_addresses_are_watched(
    foundation: Foundation, era: Era
) -> None:
    async with ear(foundation, era, "alice") as alice:
        with pytest.raises(MCPError, match="At most 100 addresses"):
            await _watch_many(foundation, era, alice)


async def _watch_many(foundation: Foundation, era: Era, alice: Ear) -> None:
    if era == "2026-07-28":
        many = [f"{ABSENT}{number}" for number in range(101)]
        async with alice.client.listen(resource_subscriptions=many):
            return
    entry = await Elsewhere(foundation, era).write(key="x")
    for number in range(101):
        await subscribe(alice.client, f"{uri(entry)}/versions/{number}")


@pytest.mark.parametrize("era", ERAS)
async def test_a_server_without_watchers_offers_no_subscriptions(
    foundation: Foundation, era: Era
) -> None:
    async with InMemory(foundation, era).client() as client:
        assert _offers_subscriptions(client) is False


@pytest.mark.parametrize("era", ERAS)
async def test_a_server_with_watchers_offers_subscriptions(
    foundation: Foundation, era: Era
) -> None:
    async with ear(foundation, era, "alice") as alice:
        assert _offers_subscriptions(alice.client) is True


def _offers_subscriptions(client: Client) -> bool | None:
    resources = client.server_capabilities.resources
    assert resources is not None
    return resources.subscribe


async def test_a_server_over_stdio_tells_of_changes(
    foundation: Foundation, database_url: str
) -> None:
    entry = await foundation.diary.entries.create(ALICE, EntryDraft(content="x"))
    settings = environment(agent="alice", database_url=database_url)

    async with (
        sdk_client(settings, "2026-07-28") as client,
        client.listen(resource_subscriptions=[uri(entry)]) as events,
    ):
        await Elsewhere(foundation, "2026-07-28").change(entry)

        with anyio.fail_after(60):
            assert await anext(events) == ResourceUpdated(uri(entry))


@pytest.fixture
def http(database_url: str) -> Generator[tuple[HttpServer, str]]:
    token = issue_token(database_url, "alice").secret
    with http_server(environment(database_url=database_url)) as server:
        yield server.wait_until_ready(), token


async def test_a_server_over_http_tells_of_changes(
    foundation: Foundation, http: tuple[HttpServer, str]
) -> None:
    server, token = http
    entry = await foundation.diary.entries.create(ALICE, EntryDraft(content="x"))

    async with (
        sdk_http_client(server, token, "2026-07-28") as client,
        client.listen(resource_subscriptions=[uri(entry)]) as events,
    ):
        await Elsewhere(foundation, "2026-07-28").change(entry)

        with anyio.fail_after(60):
            assert await anext(events) == ResourceUpdated(uri(entry))
        took_s = await anyio.to_thread.run_sync(server.end, signal.SIGTERM)

    assert took_s < 5, "an open stream does not keep the server from ending"


async def test_many_streams_hear_each_of_its_own(foundation: Foundation) -> None:
    elsewhere = Elsewhere(foundation, "2026-07-28")
    entries = [await elsewhere.write() for _ in range(5)]
    heard: list[str] = []

    ready = [anyio.Event() for _ in entries]

    async def listen(alice: Ear, entry: Entry, is_ready: anyio.Event) -> None:
        async with alice.client.listen(resource_subscriptions=[uri(entry)]) as events:
            is_ready.set()
            heard.append(getattr(await anext(events), "uri", ""))

    async with ear(foundation, "2026-07-28", "alice") as alice, anyio.create_task_group() as tasks:
        for entry, is_ready in zip(entries, ready, strict=True):
            tasks.start_soon(listen, alice, entry, is_ready)
        for is_ready in ready:
            await is_ready.wait()
        for entry in entries:
            await elsewhere.change(entry)

    assert sorted(heard) == sorted(map(uri, entries))
