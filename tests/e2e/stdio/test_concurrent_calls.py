"""Many tool calls at once, through two servers, one in each protocol era.

Updates of one version, deletions and idempotency keys race in
`integration/service/entries/test_concurrency.py`.
"""

from collections import Counter
from collections.abc import Iterable
from concurrent.futures import Future
from random import Random
from uuid import uuid4

import pytest

from support.clients import Answer, Json, RawClient, answer_of
from support.ground_truth import check_promise
from support.sites import Deployment

pytestmark = pytest.mark.xdist_group("e2e-shared")


def answers(calls: Iterable[Future[Json]]) -> list[Answer]:
    return [answer_of(call) for call in list(calls)]


def codes(calls: Iterable[Future[Json]]) -> Counter[str]:
    return Counter(answer.code for answer in answers(calls))


@pytest.fixture
def writers(site: Deployment) -> list[RawClient]:
    """Who makes ten calls of one agent's: two servers in turn, so that each has five at once."""
    return [*site.of_each_era] * 5


def test_creates_and_deletes_at_once_do_not_disturb_each_other(
    site: Deployment, writers: list[RawClient]
) -> None:
    tag = uuid4().hex
    old = [site.alice.create(tags=[tag])["id"] for _ in writers]

    deletes = [
        writer.start_call("diary_delete", entry_id=entry_id)
        for writer, entry_id in zip(writers, old, strict=True)
    ]
    creates = [writer.start_call("diary_create", content="x", tags=[tag]) for writer in writers]
    made = {answer.data["id"] for answer in answers(creates)}

    assert codes(deletes) == {"ok": 10}
    assert len(made) == 10
    listed = site.alice.call("diary_list", tags=[tag]).data["entries"]
    assert {entry["id"] for entry in listed} == made
    entries = check_promise(site.url).entries
    assert entries >= made
    assert entries.isdisjoint(old)


def test_one_idempotency_key_with_ten_contents_at_once_makes_one_entry(
    site: Deployment, writers: list[RawClient]
) -> None:
    key, tag = uuid4().hex, uuid4().hex

    made = codes(
        writer.start_call("diary_create", content=f"{number}", tags=[tag], idempotency_key=key)
        for number, writer in enumerate(writers)
    )

    assert made == {"ok": 1, "conflict": 9}
    assert len(site.alice.call("diary_list", tags=[tag]).data["entries"]) == 1


def test_one_key_taken_ten_times_at_once_is_given_once(
    site: Deployment, writers: list[RawClient]
) -> None:
    key = uuid4().hex

    made = codes(writer.start_call("diary_create", content="x", key=key) for writer in writers)

    assert made == {"ok": 1, "conflict": 9}
    assert site.alice.call("diary_get", entry_id=key).code == "ok"


def test_one_entry_superseded_ten_times_at_once_is_superseded_once(
    site: Deployment, writers: list[RawClient]
) -> None:
    entry = site.alice.create()

    made = answers(
        writer.start_call("diary_create", content="x", supersedes=entry["id"]) for writer in writers
    )

    assert Counter(answer.code for answer in made) == {"ok": 1, "conflict": 9}
    (winner,) = (answer.data["id"] for answer in made if answer.code == "ok")
    read = site.alice.call("diary_get", entry_id=entry["id"]).data
    assert read["superseded_by"] == winner


def test_shares_unshares_and_a_deletion_at_once_end_as_the_rows_say(
    site: Deployment, writers: list[RawClient]
) -> None:
    entry, deleted, *others = (site.alice.create()["id"] for _ in range(10))

    shares_and_unshares = codes(
        writer.start_call(tool, entry_id=entry, with_="bob")
        for tool, writer in zip(["diary_share", "diary_unshare"] * 10, writers * 2, strict=True)
    )
    of_deleted = shares_and_a_deletion(writers, deleted)
    storm = codes(random_shares(writers, others))

    for raced in (shares_and_unshares, of_deleted, storm):
        assert raced.keys() <= {"ok", "not_found"}
    assert shares_and_unshares["ok"] >= 10
    truth = check_promise(site.url)
    shares = site.alice.call("diary_shares", entry_id=entry).data["shares"]
    read = site.bob.call("diary_get", entry_id=entry).code
    assert (len(shares), read) in {(0, "not_found"), (1, "ok")}
    assert deleted not in {row[0] for row in truth.tuples}
    assert site.bob.call("diary_get", entry_id=deleted).code == "not_found"


def shares_and_a_deletion(writers: list[RawClient], entry_id: str) -> Counter[str]:
    """What shares are answered with which an entry is deleted; the deletion is done."""
    share = {"entry_id": entry_id, "with": "bob"}
    before, after = writers[:4], writers[5:]
    shares = [writer.start_call("diary_share", **share) for writer in before]
    deletion = writers[4].start_call("diary_delete", entry_id=entry_id)
    shares += [writer.start_call("diary_share", **share) for writer in after]

    assert answer_of(deletion).code == "ok"
    return codes(shares)


def random_shares(writers: list[RawClient], entries: list[str]) -> list[Future[Json]]:
    random = Random(2026)
    return [
        random.choice(writers).start_call(
            random.choice(["diary_share", "diary_unshare"]),
            entry_id=random.choice(entries),
            with_=random.choice(["bob", "eve"]),
        )
        for _ in range(30)
    ]


def test_no_unshare_lets_a_reader_in_after_it_returned(site: Deployment) -> None:
    share = {"entry_id": site.alice.create("at first")["id"], "with": "bob"}

    def reads() -> list[Future[Json]]:
        return [site.bob.start_call("diary_get", entry_id=share["entry_id"]) for _ in range(5)]

    for version in range(1, 6):
        shared = site.alice.start_call("diary_share", **share)
        raced = reads()
        assert answer_of(shared).code == "ok"
        unshared = site.alice_elsewhere.start_call("diary_unshare", **share)
        raced += reads()
        assert answer_of(unshared).code == "ok"
        late = reads()
        secret = {"expected_version": version, "content": f"secret {version}"}
        site.alice.call("diary_update", entry_id=share["entry_id"], **secret)

        assert codes(late) == {"not_found": 5}
        assert all(f"secret {version}" not in answer.text for answer in answers(raced))
