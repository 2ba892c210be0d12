"""Keto fails in every way while the diary is at work, and comes back.

All the while owners work, viewers are told `unavailable`, `status` tells how it stands, and no
call takes longer than it may; afterwards nothing is lost and the tuples equal the rows.
"""

import json
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from math import isfinite
from uuid import uuid4

import pytest
from click.testing import CliRunner

from diary_mcp.commands.status import status
from support.clients import Answer, Json, RawClient, answer_of, environment, raw_client
from support.fake_keto import reply
from support.ground_truth import ask, eventually, list_keto_tuples
from support.keto_proxy import Fault
from support.load import GRANTEES, Author, Logbook
from support.sites import KetoSite, add_agents, keto_site

pytestmark = pytest.mark.xdist_group("keto-outages")

# Keto is waited for 2 s, a tool call takes 30 at most; the rest is for a machine that is busy.
LIMIT_S = 15
CALLS_AT_ONCE = 10
NOTHING_THERE = "01a209f7-3236-76fc-9537-63feee86b6c8"
# One that answers and one that does not; `integration/permissions/test_keto_faults.py` holds every
# other answer to the same error, whatever was asked.
FAULTS = {
    # What was waited for in vain arrives all the same.
    "too slow": Fault(delay_s=2.5),
    "answering 502 after it was asked": Fault(reply(502, "postgres://secret"), applied=True),
}
ENTRIES = 8


@dataclass(frozen=True)
class Diary:
    """Alice and bob on one Keto that can be made to fail."""

    site: KetoSite
    alice: RawClient
    bob: RawClient

    def share(self, entry: Json, grantee: str = "bob") -> Answer:
        return self.alice.call("diary_share", entry_id=entry["id"], with_=grantee)

    def shared(self) -> Json:
        """A settled entry that bob reads."""
        return self.several_shared(1)[0]

    def several_shared(self, number: int) -> list[Json]:
        entries = [self.alice.create() for _ in range(number)]
        assert {self.share(entry).code for entry in entries} == {"ok"}
        self.site.check()
        # Bob's server may still be in the pause that follows the faults of the test before.
        eventually(lambda: {self.read_by_bob(entry) for entry in entries} == {"ok"})
        return entries

    def read_by_bob(self, entry: Json) -> str:
        return self.bob.call("diary_get", entry_id=entry["id"]).code

    def status(self) -> Json:
        """What `diary-mcp status --json` prints; its exit status is checked."""
        done = CliRunner().invoke(status, ["--json"], env=self.site.environment("alice"))
        told: Json = json.loads(done.stdout)
        assert done.exit_code == (0 if told["ok"] else 1)
        return told

    def unsettled(self) -> int:
        """How many entries' last change has not reached Keto, from the rows."""
        ((count,),) = ask(
            self.site.url,
            "select count(*) from diary.entry_permission where applied_generation < generation",
        )
        return int(str(count))


@pytest.fixture(scope="module")
def diary(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Generator[Diary]:
    with (
        keto_site(postgres_url, tmp_path_factory.mktemp("keto")) as site,
        raw_client(site.environment("alice")) as alice,
        raw_client(site.environment("bob")) as bob,
    ):
        for client in (alice, bob):
            client.wait_until_up()
        add_agents(site.url, *GRANTEES)
        yield Diary(site, alice, bob)


@contextmanager
def fault(diary: Diary, fault: Fault) -> Generator[None]:
    diary.site.proxy.fault = fault
    try:
        yield
    finally:
        diary.site.proxy.fault = None


def in_time(client: RawClient, tool: str, /, **arguments: object) -> Answer:
    """The answer to a call that did not take longer than it may."""
    started = time.monotonic()
    answer = client.call(tool, **arguments)
    assert time.monotonic() - started < LIMIT_S
    return answer


def all_in_time(client: RawClient, *calls: tuple[str, Json]) -> list[Answer]:
    """The answers to calls that were made at once and together took no longer than one may."""
    started = time.monotonic()
    under_way = [client.start_call(tool, **arguments) for tool, arguments in calls]
    answers = [answer_of(call) for call in under_way]
    assert time.monotonic() - started < LIMIT_S
    return answers


@pytest.mark.parametrize("name", FAULTS)
def test_owners_work_viewers_wait_and_nothing_is_lost_while_keto_is(
    diary: Diary, name: str
) -> None:
    shared, revoked, deleted = diary.several_shared(3)
    alice, bob = partial(in_time, diary.alice), partial(in_time, diary.bob)

    with fault(diary, FAULTS[name]):
        written = alice("diary_create", content="Written meanwhile.").data
        changes = [
            alice("diary_share", entry_id=written["id"], with_="bob"),
            alice("diary_unshare", entry_id=revoked["id"], with_="bob"),
            alice("diary_delete", entry_id=deleted["id"]),
            alice("diary_update", entry_id=shared["id"], expected_version=1, content="Changed."),
            alice("diary_get", entry_id=written["id"]),
            alice("diary_list"),
            bob("diary_create", content="Bob's own, meanwhile."),
        ]
        # All at once: each waits for Keto as long as it may.
        *refused, searched, identity = all_in_time(
            diary.bob,
            *(
                ("diary_get", {"entry_id": entry_id})
                for entry_id in (shared["id"], written["id"], revoked["id"], NOTHING_THERE)
            ),
            ("diary_search", {"query": "meanwhile"}),
            ("diary_whoami", {}),
        )
        unsettled = diary.unsettled()

    assert [change.code for change in changes] == ["ok"] * len(changes)
    assert [answer.code for answer in refused] == ["unavailable"] * len(refused)
    assert all("secret" not in answer.text for answer in refused)
    assert {hit.get("owner", "bob") for hit in searched.data["hits"]} <= {"bob"}
    assert "not searched" in searched.data["notice"]
    assert identity.data.get("groups") is None
    assert unsettled == 4

    diary.site.check()
    # It may be settled before bob's server has ended the pause after its own last failure.
    eventually(lambda: [diary.read_by_bob(each) for each in (shared, written)] == ["ok", "ok"])
    assert [diary.read_by_bob(each) for each in (revoked, deleted)] == ["not_found"] * 2
    assert diary.status()["problems"] == []


def test_a_keto_that_is_a_little_slow_is_waited_for(diary: Diary) -> None:
    shared = diary.shared()

    with fault(diary, Fault(delay_s=0.2)):
        written = diary.alice.create()
        diary.share(written)

        eventually(lambda: diary.read_by_bob(written) == "ok")
        assert diary.read_by_bob(shared) == "ok"

    diary.site.check()


def test_a_write_that_failed_after_it_was_applied_is_not_made_twice(diary: Diary) -> None:
    before = list_keto_tuples(diary.site.keto.address)

    with fault(diary, Fault(reply(502, ""), applied=True, writes_only=True)):
        written = diary.alice.create()
        diary.share(written)
        # Every write is answered so, and still it settles: what is there is read first.
        diary.site.check()
        assert diary.read_by_bob(written) == "ok"

    after = list_keto_tuples(diary.site.keto.address)
    assert len(after) == len(before) + 2


def test_a_write_that_was_refused_is_made_once_keto_takes_it(diary: Diary) -> None:
    with fault(diary, Fault(reply(500, ""), writes_only=True)):
        written = diary.alice.create()
        diary.share(written)
        # By who made the change, and by the workflow.
        eventually(lambda: count_writes(diary, written) >= 3)
        assert diary.alice.call("diary_get", entry_id=written["id"]).data["sharing"] == "pending"

    diary.site.check()
    eventually(lambda: diary.read_by_bob(written) == "ok")


def count_writes(diary: Diary, entry: Json) -> int:
    """How many writes about the entry were asked for, and answered."""
    asked = diary.site.proxy.by_entry().get(entry["id"], [])
    return sum(each.writes and isfinite(each.ended) for each in asked)


def many_changes(entries: list[Json]) -> list[tuple[str, Json]]:
    """Tool calls in an order in which all can succeed, also a few of them at once."""
    ids = [entry["id"] for entry in entries]
    half, quarter = len(ids) // 2, len(ids) // 4
    return [
        *(("diary_create", {"content": f"{number}, meanwhile."}) for number in range(len(ids))),
        *(("diary_share", {"entry_id": each, "with": "bob"}) for each in ids),
        *(("diary_unshare", {"entry_id": each, "with": "bob"}) for each in ids[:half]),
        *(("diary_delete", {"entry_id": each}) for each in ids[quarter:half]),
    ]


def test_while_keto_is_down_many_changes_are_accepted_and_a_server_starts_and_works(
    diary: Diary,
) -> None:
    shared = diary.shared()
    entries = [diary.alice.create() for _ in range(ENTRIES)]
    settings = environment(agent="bob", database_url=diary.site.url, keto=diary.site.keto.address)
    diary.site.keto.kill()
    with raw_client(settings) as late:
        try:
            changes = many_changes(entries)
            for first in range(0, len(changes), CALLS_AT_ONCE):
                answers = all_in_time(diary.alice, *changes[first : first + CALLS_AT_ONCE])
                assert {answer.code for answer in answers} == {"ok"}
            assert diary.read_by_bob(shared) == "unavailable"
            written = late.create("Bob's own.")
            of_late = [
                in_time(late, "diary_share", entry_id=written["id"], with_="alice"),
                in_time(late, "diary_get", entry_id=written["id"]),
                in_time(late, "diary_get", entry_id=shared["id"]),
            ]
            told, unsettled = diary.status(), diary.unsettled()
        finally:
            diary.site.keto.start()
        eventually(lambda: late.call("diary_get", entry_id=shared["id"]).code == "ok")

    assert [answer.code for answer in of_late] == ["ok", "ok", "unavailable"]
    assert (told["ok"], told["failed"], told["drift"]) == (False, 0, None)
    assert told["pending"] == unsettled == 2 * ENTRIES + 1
    assert any("Keto" in problem for problem in told["problems"])
    diary.site.check(within_s=120)
    eventually(lambda: diary.read_by_bob(shared) == "ok")
    assert diary.alice.call("diary_get", entry_id=written["id"]).code == "ok"
    assert diary.status()["problems"] == []


def test_keto_is_killed_and_started_while_authors_write(diary: Diary) -> None:
    agent = f"author-{uuid4().hex[:8]}"
    logbook = Logbook()
    author = Author(agent, partial(RawClient, diary.site.environment(agent)), 5, logbook)
    author.start()
    try:
        for _ in range(2):
            done = author.acknowledged
            eventually(lambda done=done: author.acknowledged > done + 4)
            diary.site.keto.kill()
            eventually(lambda done=done: author.acknowledged > done + 10)
            diary.site.keto.start()
        author.rest()

        diary.site.check(within_s=90)
        logbook.check(diary.site.url)
    finally:
        author.stop()
