"""Entries over stdio: written, read, corrected and deleted."""

import json
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from support.clients import Json
from support.ground_truth import ask, eventually
from support.sites import Deployment

pytestmark = pytest.mark.xdist_group("e2e-shared")

TYPES = (
    "decision",
    "discovery",
    "problem",
    "progress",
    "reflection",
    "handoff",
    "correction",
    "note",
)
# What DBOS keeps of finished workflows, for a week, and who shared what with whom.
MAY_KEEP_IDS = {
    "dbos.workflow_status",
    "dbos.workflow_input",
    "dbos.workflow_output",
    "dbos.operation_outputs",
    "diary.audit_event",
    "diary.link",
}


def test_a_created_entry_reads_back_as_it_was_given(site: Deployment) -> None:
    key = uuid4().hex
    given = {
        "content": "# Ünïcode\r\n\ttab \u2028 🦊 trailing \n\n",
        "title": 'A title: "quoted"',
        "type": "decision",
        "tags": ["b", "a", "b", "ü"],
        "importance": 0.25,
        "date": "2026-01-31T18:00:00+02:00",
        "author": "model-1",
        "session": "s-1",
        "key": key,
    }

    created = site.good(site.alice, "diary_create", **given)
    by_id = site.good(site.alice, "diary_get", entry_id=created["id"])
    by_key = site.good(site.alice_elsewhere, "diary_get", entry_id=key)

    assert by_id | {"sharing": "pending"} == by_key | {"sharing": "pending"}
    assert {name: by_id[name] for name in given} == given | {
        "tags": ["b", "a", "ü"],
        "date": "2026-01-31T16:00:00Z",
    }
    assert created == {
        "id": by_id["id"],
        "key": key,
        "version": 1,
        "date": "2026-01-31T16:00:00Z",
        "sharing": "pending",
        "signature": "signed",
    }
    assert UUID(created["id"]).version == 7


def test_a_created_entry_has_the_defaults_of_the_surface(site: Deployment) -> None:
    before = datetime.now(UTC)

    created = site.good(site.alice, "diary_create", content="x")

    now = datetime.fromisoformat(created["date"])
    assert before - timedelta(seconds=1) <= now <= datetime.now(UTC) + timedelta(seconds=1)
    assert created["date"].endswith("Z")
    read = site.good(site.alice, "diary_get", entry_id=created["id"])
    read.pop("sharing", None)
    # The session is that of the server's process.
    assert list(read) == ["id", "session", "type", "version", "date", "signature", "content"]
    assert read["type"] == "note"


def test_the_answer_says_the_same_as_text_and_as_structure(site: Deployment) -> None:
    answer = site.alice.call("diary_create", content="x")

    assert json.loads(answer.text) == answer.data


def test_an_entry_is_pending_until_its_owner_tuple_is_there(site: Deployment) -> None:
    created = site.alice.create()

    assert created["sharing"] == "pending"
    eventually(lambda: "sharing" not in site.alice.call("diary_get", entry_id=created["id"]).data)
    assert ask(
        site.url,
        "select relation, subject_id from diary.relation_tuple where object = %s",
        created["id"],
    ) == [("owner", "alice")]


@pytest.mark.parametrize(
    "arguments",
    [
        {"content": "x" * 100_000},
        {"content": "🦊" * 100_000},
        {"title": "t" * 200},
        {"tags": [f"{number:064}" for number in range(20)]},
        {"importance": 0},
        {"importance": 1},
        {"date": "2026-01-31"},
        {"date": "0001-01-01T00:00:00Z"},
        {"author": "a" * 255},
        *({"type": each} for each in TYPES),
    ],
    ids="-".join,
)
def test_what_is_just_within_the_limits_is_taken(
    site: Deployment, arguments: dict[str, object]
) -> None:
    created = site.good(site.alice, "diary_create", **{"content": "x", **arguments})

    read = read_whole(site, created["id"])
    assert {name: read[name] for name in arguments if name != "date"} == {
        name: value for name, value in arguments.items() if name != "date"
    }


def read_whole(site: Deployment, entry_id: str) -> Json:
    """The entry, with all parts of its content."""
    entry = part = site.good(site.alice, "diary_get", entry_id=entry_id)
    parts = [str(part["content"])]
    while "next_from" in part:
        part = site.good(site.alice, "diary_get", entry_id=entry_id, **{"from": part["next_from"]})
        parts.append(part["content"])
    assert all(len(each) <= 20_000 for each in parts)
    return {**entry, "content": "".join(parts)}


def test_a_key_is_unique_for_its_owner_only(site: Deployment) -> None:
    key = uuid4().hex
    first = site.alice.create(key=key)

    again = site.alice_elsewhere.call("diary_create", content="other", key=key)
    others = site.bob.create(key=key)

    assert again.code == "conflict"
    assert key in again.text
    assert site.alice.call("diary_get", entry_id=key).data["id"] == first["id"]
    assert site.bob.call("diary_get", entry_id=key).data["id"] == others["id"]


def test_the_same_idempotency_key_returns_the_first_entry(site: Deployment) -> None:
    arguments = {"content": "once", "tags": ["a"], "idempotency_key": uuid4().hex}

    first = site.good(site.alice, "diary_create", **arguments)
    second = site.good(site.alice_elsewhere, "diary_create", **arguments)

    assert second | {"sharing": "pending"} == first
    assert site.bob.create(**arguments)["id"] != first["id"]


def test_an_idempotency_key_with_other_arguments_is_a_conflict(site: Deployment) -> None:
    key = uuid4().hex
    first = site.alice.create("once", idempotency_key=key)

    answer = site.alice.call("diary_create", content="twice", idempotency_key=key)

    assert answer.code == "conflict"
    assert first["id"] in answer.text


def test_an_entry_supersedes_another_by_id_or_by_key(site: Deployment) -> None:
    first = site.alice.create(key=uuid4().hex)

    second = site.good(site.alice, "diary_create", content="2", supersedes=first["key"])
    third = site.good(site.alice, "diary_create", content="3", supersedes=second["id"])

    newer = [site.alice.call("diary_get", entry_id=each["id"]).data for each in (second, third)]
    assert [each["supersedes"] for each in newer] == [[first["id"]], [second["id"]]]
    assert site.alice.call("diary_get", entry_id=first["id"]).data["superseded_by"] == second["id"]


def test_an_entry_can_be_superseded_once(site: Deployment) -> None:
    first = site.alice.create()
    site.alice.create(supersedes=first["id"])

    answer = site.alice.call("diary_create", content="3", supersedes=first["id"])

    assert answer.code == "conflict"


@pytest.mark.parametrize("whose", ["nobody", "another", "shared"])
def test_only_an_own_entry_can_be_superseded(site: Deployment, whose: str) -> None:
    superseded = {
        "nobody": lambda: str(uuid4()),
        "another": lambda: str(site.alice.create()["id"]),
        "shared": lambda: str(site.shared()["id"]),
    }[whose]()

    answer = site.bob.call("diary_create", content="x", supersedes=superseded)

    assert answer.code == "not_found"


def test_an_update_makes_the_next_version_and_keeps_what_was_not_given(site: Deployment) -> None:
    key = uuid4().hex
    site.alice.create("one", title="T", tags=["a"], importance=0.75, key=key)
    before = site.alice.call("diary_get", entry_id=key).data

    updated = site.good(site.alice, "diary_update", entry_id=key, expected_version=1, content="two")

    updated.pop("sharing", None)
    assert updated == {"id": before["id"], "version": 2, "signature": "signed"}
    after = site.alice_elsewhere.call("diary_get", entry_id=key).data
    assert after.pop("updated_at") > before["date"]
    before.pop("sharing", None)
    after.pop("sharing", None)
    assert after == before | {"content": "two", "version": 2}
    earlier = site.good(site.alice, "diary_get", entry_id=key, version=1)
    assert (earlier["content"], earlier["version"]) == ("one", 1)


def test_an_update_may_change_every_field_and_take_the_title_away(site: Deployment) -> None:
    created = site.alice.create("one", title="T")
    changes = {"title": None, "type": "problem", "tags": ["x", "y", "x"], "importance": 1}

    site.good(site.alice, "diary_update", entry_id=created["id"], expected_version=1, **changes)

    read = site.alice.call("diary_get", entry_id=created["id"]).data
    assert "title" not in read
    assert (read["type"], read["tags"], read["importance"]) == ("problem", ["x", "y"], 1)


def test_an_update_at_another_version_is_a_conflict_and_changes_nothing(site: Deployment) -> None:
    created = site.alice.create("one")

    answer = site.alice.call(
        "diary_update", entry_id=created["id"], expected_version=2, content="two"
    )

    assert answer.code == "conflict"
    assert "is at version 1, not 2" in answer.text
    read = site.alice.call("diary_get", entry_id=created["id"]).data
    assert (read["content"], read["version"]) == ("one", 1)


def test_an_update_of_nothing_is_refused(site: Deployment) -> None:
    created = site.alice.create()

    answer = site.alice.call("diary_update", entry_id=created["id"], expected_version=1)

    assert answer.code == "invalid_argument"


def test_a_deleted_entry_is_gone_for_good(site: Deployment) -> None:
    marker = uuid4().hex
    entry = site.shared(content=f"secret {marker}", title=marker, tags=[marker])
    site.alice.call("diary_update", entry_id=entry["id"], expected_version=1, content=marker)

    deleted = site.good(site.alice, "diary_delete", entry_id=entry["id"])

    assert deleted == {"entry_id": entry["id"], "deleted": True}
    for client in (site.alice, site.alice_elsewhere, site.bob):
        assert client.call("diary_get", entry_id=entry["id"]).code == "not_found"
        assert client.call("diary_search", query=marker).data["hits"] == []
    assert tables_with(site.url, marker) == []
    eventually(
        lambda: set(tables_with(site.url, entry["id"])) <= MAY_KEEP_IDS,
        told=lambda: tables_with(site.url, entry["id"]),
    )


def test_a_deleted_entry_leaves_the_others_of_its_chain(site: Deployment) -> None:
    first = site.alice.create()
    second = site.alice.create(supersedes=first["id"])
    third = site.alice.create(supersedes=second["id"])

    site.alice.call("diary_delete", entry_id=second["id"])

    assert site.alice.call("diary_get", entry_id=first["id"]).data.get("superseded_by") is None
    assert site.alice.call("diary_get", entry_id=third["id"]).data.get("supersedes") is None


def test_an_idempotency_key_of_a_deleted_entry_makes_no_second_one(site: Deployment) -> None:
    arguments = {"content": uuid4().hex, "idempotency_key": uuid4().hex}
    created = site.alice.create(**arguments)
    site.alice.call("diary_delete", entry_id=created["id"])

    answer = site.alice.call("diary_create", **arguments)

    assert answer.is_error
    assert site.alice.call("diary_search", query=arguments["content"]).data["hits"] == []


def tables_with(url: str, text: str) -> list[str]:
    """Every table of the database in which the text occurs in any column."""
    tables = ask(
        url,
        "select format('%I.%I', schemaname, tablename) from pg_tables"
        " where schemaname not in ('pg_catalog', 'information_schema') order by 1",
    )
    return [
        str(table)
        for (table,) in tables
        if ask(url, f"select from {table} as t where t::text like %s", f"%{text}%")
    ]


def test_a_repetition_is_told_what_was_written_before(site: Deployment) -> None:
    subject = uuid4().hex
    arguments = {"content": f"The {subject} limit is 500 requests per minute.", "title": subject}
    first = site.good(site.alice, "diary_create", **arguments)
    again = arguments | {"content": f"The {subject} limit is 100 requests per minute."}

    second = site.good(site.alice, "diary_create", **again, idempotency_key=subject)
    repeated = site.good(site.alice_elsewhere, "diary_create", **again, idempotency_key=subject)
    others = site.good(site.bob, "diary_create", **arguments)

    assert "similar" not in first
    assert [(each["id"], each["title"]) for each in second["similar"]] == [(first["id"], subject)]
    assert 0.6 <= second["similar"][0]["similarity"] < 1
    assert (repeated["id"], repeated["similar"]) == (second["id"], second["similar"])
    assert "similar" not in others
