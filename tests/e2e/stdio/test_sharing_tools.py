"""Sharing over stdio: who may read what, from when, until when."""

import re
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from support.clients import Json, RawClient
from support.ground_truth import ask, eventually
from support.sites import Deployment

pytestmark = pytest.mark.xdist_group("e2e-shared")

ABSENT_ID = "01a209f7-3236-76fc-9537-63feee86b6c8"
ON_AN_ENTRY: dict[str, Json] = {
    "diary_get": {},
    "diary_update": {"expected_version": 1, "content": "other"},
    "diary_delete": {},
    "diary_share": {"with": "alice"},
    "diary_unshare": {"with": "bob"},
    "diary_shares": {},
}
CHANGES = {tool: more for tool, more in ON_AN_ENTRY.items() if tool != "diary_get"}


def test_a_share_is_pending_first_and_readable_once_it_is_settled(site: Deployment) -> None:
    entry = site.alice.create("for bob")

    share = site.good(
        site.alice, "diary_share", entry_id=entry["id"], with_="bob", note="look at this"
    )

    assert share == {
        "entry_id": entry["id"],
        "with": "bob",
        "created_at": share["created_at"],
        "note": "look at this",
        "sharing": "pending",
    }
    eventually(lambda: "sharing" not in site.alice.call("diary_get", entry_id=entry["id"]).data)
    read = site.good(site.bob, "diary_get", entry_id=entry["id"])
    own = site.alice.call("diary_get", entry_id=entry["id"]).data
    assert read == own | {
        "untrusted": read["untrusted"],
        "owner": "alice",
        "role": "viewer",
        "shared_by": "alice",
        "note": "look at this",
    }
    assert "alice" in read["untrusted"]


def test_a_viewer_finds_what_is_shared_in_lists_and_searches(site: Deployment) -> None:
    word = f"w{uuid4().hex}"
    entry = site.shared(content=word, tags=[word])

    listed = site.good(site.bob, "diary_list", scope="shared", tags=[word])["entries"]
    everything = site.good(site.bob, "diary_list", scope="all", tags=[word])["entries"]
    found = site.good(site.bob, "diary_search", query=word)["hits"]
    mine = site.good(site.bob, "diary_list", tags=[word])["entries"]

    assert [each["id"] for each in listed] == [entry["id"]]
    assert everything == listed
    # What else he may read comes after it, as soon as it has vectors.
    assert found[0]["id"] == entry["id"]
    assert listed[0]["role"] == found[0]["role"] == "viewer"
    assert mine == []


def test_a_stranger_finds_nothing(site: Deployment) -> None:
    word = f"w{uuid4().hex}"
    site.shared(content=word, tags=[word])

    assert site.eve.call("diary_list", scope="all", tags=[word]).data["entries"] == []
    assert site.eve.call("diary_search", query=word).data["hits"] == []


@pytest.mark.parametrize("tool", ON_AN_ENTRY)
def test_a_stranger_is_answered_as_if_the_entry_were_not_there(site: Deployment, tool: str) -> None:
    entry = site.shared()

    hidden = site.eve.call(tool, entry_id=entry["id"], **ON_AN_ENTRY[tool])
    absent = site.eve.call(tool, entry_id=ABSENT_ID, **ON_AN_ENTRY[tool])

    assert hidden.code == "not_found"
    assert hidden.text.replace(entry["id"], "ID") == absent.text.replace(ABSENT_ID, "ID")


@pytest.mark.parametrize("tool", CHANGES)
def test_a_viewer_may_only_read(site: Deployment, tool: str) -> None:
    entry = site.shared()
    before = site.alice.call("diary_get", entry_id=entry["id"]).data

    answer = site.bob.call(tool, entry_id=entry["id"], **CHANGES[tool])

    assert answer.code == "forbidden"
    assert site.alice.call("diary_get", entry_id=entry["id"]).data == before
    assert grantees(site.alice, entry) == ["bob"]


def test_a_key_of_somebody_else_names_nothing(site: Deployment) -> None:
    entry = site.shared(key=uuid4().hex)

    assert site.bob.call("diary_get", entry_id=entry["key"]).code == "not_found"


def test_a_viewer_reads_nothing_once_unshare_returned(site: Deployment) -> None:
    word = f"w{uuid4().hex}"
    entry = site.shared(content=word, tags=[word])

    revoked = site.good(site.alice, "diary_unshare", entry_id=entry["id"], with_="bob")

    assert site.bob.call("diary_get", entry_id=entry["id"]).code == "not_found"
    assert site.bob.call("diary_list", scope="shared", tags=[word]).data["entries"] == []
    assert site.bob.call("diary_search", query=word).data["hits"] == []
    assert revoked == {"entry_id": entry["id"], "with": "bob", "revoked": True}
    assert grantees(site.alice, entry) == []


def test_sharing_again_replaces_expiry_and_note(site: Deployment) -> None:
    entry = site.alice.create()
    later = (datetime.now(UTC) + timedelta(days=1)).isoformat(timespec="seconds")
    share = {"entry_id": entry["id"], "with": "bob"}

    first = site.good(site.alice, "diary_share", **share, expires_at=later, note="n")
    second = site.good(site.alice, "diary_share", **share)

    assert datetime.fromisoformat(first["expires_at"]) == datetime.fromisoformat(later)
    assert first["note"] == "n"
    assert not {"note", "expires_at"} & second.keys()
    assert second["created_at"] == first["created_at"]
    listed = site.good(site.alice, "diary_shares", entry_id=entry["id"])["shares"]
    assert [each | {"sharing": ""} for each in listed] == [second | {"sharing": ""}]


def test_an_expired_share_opens_nothing_and_is_not_listed(site: Deployment) -> None:
    entry = site.shared(tags=[uuid4().hex])
    ask(
        site.url,
        "update diary.share set expires_at = clock_timestamp() where entry_id = %s",
        entry["id"],
    )

    assert site.bob.call("diary_get", entry_id=entry["id"]).code == "not_found"
    listed = site.bob.call("diary_list", scope="shared", tags=entry["tags"]).data["entries"]
    assert listed == []
    assert grantees(site.alice, entry) == []
    again = site.alice.call("diary_unshare", entry_id=entry["id"], with_="bob")
    assert again.code == "not_found"
    renewed = site.alice.call("diary_share", entry_id=entry["id"], with_="bob")
    assert "expires_at" not in renewed.data
    eventually(lambda: site.bob.call("diary_get", entry_id=entry["id"]).code == "ok")


def test_unsharing_what_is_not_shared_is_not_found(site: Deployment) -> None:
    entry = site.alice.create()

    answer = site.alice.call("diary_unshare", entry_id=entry["id"], with_="bob")

    assert answer.code == "not_found"


@pytest.mark.parametrize(
    ("grantee", "told"),
    [
        ("bobb", "bob"),
        ("group:bob", "group:bob"),
        ("alice", "you"),
        ("Bob", "bob"),
        ("", "with"),
        ("group:", "group:"),
        ("b" * 65, "b" * 65),
    ],
)
def test_sharing_with_nobody_who_exists_is_refused_and_says_who_is_close(
    site: Deployment, grantee: str, told: str
) -> None:
    entry = site.alice.create()

    answer = site.alice.call("diary_share", entry_id=entry["id"], with_=grantee)

    assert answer.code == "invalid_argument"
    assert re.search(rf"\b{told}\b", answer.text.replace(repr(grantee), told))
    assert grantees(site.alice, entry) == []


def test_a_viewer_who_shares_an_entry_with_itself_is_not_told_that_it_is_the_owner(
    site: Deployment,
) -> None:
    entry = site.shared()

    answer = site.bob.call("diary_share", entry_id=entry["id"], with_="bob")

    assert answer.code == "forbidden"
    assert "owner" in answer.text
    assert "is you" not in answer.text


def test_an_expiry_in_the_past_is_refused(site: Deployment) -> None:
    entry = site.alice.create()

    answer = site.alice.call(
        "diary_share", entry_id=entry["id"], with_="bob", expires_at="2020-01-01T00:00:00Z"
    )

    assert answer.code == "invalid_argument"
    assert "expires_at" in answer.text


def test_an_agent_exists_from_its_first_call_on(site: Deployment) -> None:
    assert (
        site.alice.call("diary_share", entry_id=site.alice.create()["id"], with_="eve").data["with"]
        == "eve"
    )


def test_a_viewer_keeps_reading_what_the_owner_changes(site: Deployment) -> None:
    entry = site.shared(content="one")

    site.alice.call("diary_update", entry_id=entry["id"], expected_version=1, content="two")

    assert site.bob.call("diary_get", entry_id=entry["id"]).data["content"] == "two"


def test_a_neighbour_in_a_chain_that_is_not_shared_is_not_named(site: Deployment) -> None:
    first = site.alice.create()
    second = site.shared(supersedes=first["id"])
    site.alice.create(supersedes=second["id"])

    read = site.bob.call("diary_get", entry_id=second["id"]).data

    assert not {"supersedes", "superseded_by"} & read.keys()


def grantees(client: RawClient, entry: Json) -> list[str]:
    shares = client.call("diary_shares", entry_id=entry["id"]).data["shares"]
    return [str(share["with"]) for share in shares]
