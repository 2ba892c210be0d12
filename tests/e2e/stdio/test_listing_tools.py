"""Lists, search, tags and cursors over stdio."""

from collections.abc import Iterator
from dataclasses import dataclass
from uuid import uuid4

import pytest

from support.clients import Json, RawClient
from support.sites import Deployment

pytestmark = pytest.mark.xdist_group("e2e-shared")


def test_a_list_is_newest_first_and_pages_without_gap_or_repetition(site: Deployment) -> None:
    tag = uuid4().hex
    days = [3, 1, 2, 2, 5, 4, 2]
    made = [site.alice.create(tags=[tag], date=f"2026-01-0{day}") for day in days]

    pages = list(paged(site, site.alice, "diary_list", "entries", tags=[tag], limit=3))

    listed = [entry for page in pages for entry in page]
    expected = sorted(made, key=lambda entry: entry["id"])
    expected.sort(key=lambda entry: str(entry["date"]), reverse=True)
    assert [entry["id"] for entry in listed] == [entry["id"] for entry in expected]
    assert [len(page) for page in pages] == [3, 3, 1]


def test_a_cursor_goes_on_where_it_stopped_while_entries_come_and_go(site: Deployment) -> None:
    tag = uuid4().hex
    made = [site.alice.create(tags=[tag], date=f"2026-01-0{day}") for day in (5, 4, 3, 2, 1)]
    first = site.alice.call("diary_list", tags=[tag], limit=2).data

    site.alice.create(tags=[tag], date="2026-02-01")
    site.alice.call("diary_delete", entry_id=made[1]["id"])
    site.alice.call("diary_delete", entry_id=made[2]["id"])
    rest = site.alice_elsewhere.call(
        "diary_list", tags=[tag], limit=2, cursor=first["next_cursor"]
    ).data

    assert [entry["id"] for entry in rest["entries"]] == [made[3]["id"], made[4]["id"]]
    assert "next_cursor" not in rest


def test_a_listed_entry_has_a_snippet_in_place_of_its_content(site: Deployment) -> None:
    tag = uuid4().hex
    made = site.alice.create("x" * 5_000, tags=[tag])

    (listed,) = site.good(site.alice, "diary_list", tags=[tag])["entries"]

    listed.pop("sharing", None)
    assert list(listed) == ["id", "session", "type", "tags", "date", "snippet"]
    assert listed["id"] == made["id"]
    assert listed["snippet"].startswith("x" * 50)
    assert len(listed["snippet"]) < 1_000


@dataclass(frozen=True)
class Samples:
    """Four entries of alice's with one word; the first is superseded by the second."""

    word: str
    names: dict[str, str]
    """By id."""


@pytest.fixture(scope="module")
def samples(shared_deployment: Deployment) -> Samples:
    word = f"w{uuid4().hex}"

    def create(**arguments: object) -> str:
        return str(shared_deployment.alice.create(word, **arguments)["id"])

    first = create(type="problem", tags=["x"], date="2026-01-01", importance=0.1)
    second = create(
        type="decision",
        tags=["x", "y"],
        date="2026-01-02T12:00:00Z",
        importance=0.4,
        supersedes=first,
    )
    third = create(tags=["y"], date="2026-01-03T23:59:59Z", importance=0.5, author="model-1")
    fourth = create(tags=["z"], date="2026-01-04", importance=0.9)
    return Samples(word, {first: "a", second: "b", third: "c", fourth: "d"})


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, "abcd"),
        ({"types": ["problem", "decision"]}, "ab"),
        ({"tags": ["x", "y"]}, "b"),
        ({"any_tags": ["x", "y"]}, "abc"),
        ({"exclude_tags": ["x"]}, "cd"),
        ({"author": "model-1"}, "c"),
        ({"since": "2026-01-02"}, "bcd"),
        ({"until": "2026-01-02"}, "ab"),
        ({"since": "2026-01-02T12:00:00Z", "until": "2026-01-03"}, "bc"),
        ({"min_importance": 0.5}, "cd"),
        ({"include_superseded": False}, "bcd"),
        ({"types": ["note"], "exclude_tags": ["y"], "min_importance": 0.9}, "d"),
        ({"scope": "shared"}, ""),
    ],
    ids=str,
)
@pytest.mark.parametrize("tool", ["diary_list", "diary_search"])
def test_every_filter_that_is_given_must_hold(
    site: Deployment, samples: Samples, tool: str, filters: Json, expected: str
) -> None:
    names = samples.names
    arguments = {"limit": 50, **filters}
    if tool == "diary_search":
        arguments = {"query": samples.word, "include_superseded": True, **arguments}

    rows = "hits" if tool == "diary_search" else "entries"
    pages = list(paged(site, site.alice, tool, rows, **arguments))

    found = [names[each["id"]] for page in pages for each in page if each["id"] in names]
    assert "".join(sorted(found)) == expected


def test_a_search_finds_by_words_the_best_first_and_says_why(site: Deployment) -> None:
    word = f"w{uuid4().hex}"
    weak = site.alice.create(f"Long ago, {word} was mentioned. " + "Other things. " * 50)
    strong = site.alice.create(f"All about {word}.", title=f"{word} {word}")

    answer = site.good(site.alice, "diary_search", query=f"what about {word}?")

    hits = answer["hits"]
    assert [hit["id"] for hit in hits[:2]] == [strong["id"], weak["id"]]
    assert hits[0]["score"] > hits[1]["score"]
    assert all(any(word in match for match in hit["matched"]) for hit in hits[:2])
    assert all(word in hit["snippet"] and "content" not in hit for hit in hits[:2])
    assert isinstance(answer.get("notice", ""), str)


def test_a_search_leaves_superseded_entries_out_unless_asked(site: Deployment) -> None:
    word = f"w{uuid4().hex}"
    old = site.alice.create(word)
    new = site.alice.create(word, supersedes=old["id"])

    usual = site.alice.call("diary_search", query=word).data["hits"]
    asked = site.alice.call("diary_search", query=word, include_superseded=True).data["hits"]

    assert old["id"] not in {hit["id"] for hit in usual}
    assert ids_with(word, usual) == [new["id"]]
    assert set(ids_with(word, asked)) == {old["id"], new["id"]}


def test_a_search_pages_without_gap_or_repetition(site: Deployment) -> None:
    word = f"w{uuid4().hex}"
    made = {site.alice.create(f"{word} {'more words ' * number}")["id"] for number in range(7)}

    pages = list(paged(site, site.alice, "diary_search", "hits", query=word, limit=3))

    hits = [hit for page in pages for hit in page]
    assert len({hit["id"] for hit in hits}) == len(hits)
    found = ids_with(word, hits)
    assert len(found) == 7
    assert set(found) == made
    scores = [hit["score"] for hit in hits]
    assert scores == sorted(scores, reverse=True)


def ids_with(word: str, hits: list[Json]) -> list[str]:
    """The hits that have the word: what was written beside them comes after them."""
    return [str(hit["id"]) for hit in hits if word in hit["matched"]]


@pytest.mark.parametrize(
    "query",
    ["the", "'", '"', "a & b | !c", "foo:*", "\\", "%", "--", "🦊", "x" * 1_000, "(", "<->", " "],
)
@pytest.mark.parametrize("mode", ["hybrid", "text", "semantic"])
def test_any_query_is_answered(site: Deployment, query: str, mode: str) -> None:
    site.good(site.alice, "diary_search", query=query, mode=mode)


def test_tags_are_counted_the_most_used_first(site: Deployment) -> None:
    prefix = uuid4().hex
    site.alice.create(tags=[f"{prefix}-a", f"{prefix}-b"])
    site.alice.create(tags=[f"{prefix}-b"])
    site.bob.create(tags=[f"{prefix}-a"])

    everything = site.good(site.alice, "diary_tags", prefix=prefix)["tags"]
    one = site.alice.call("diary_tags", prefix=prefix, limit=1).data["tags"]
    pattern = site.alice.call("diary_tags", prefix=f"{prefix[:-1]}_").data["tags"]

    assert everything == [{"tag": f"{prefix}-b", "count": 2}, {"tag": f"{prefix}-a", "count": 1}]
    assert one == everything[:1]
    assert pattern == []


def test_shares_are_listed_and_paged(site: Deployment) -> None:
    entry = site.alice.create()
    for grantee in ("bob", "eve"):
        site.alice.call("diary_share", entry_id=entry["id"], with_=grantee)

    arguments = {"entry_id": entry["id"], "limit": 1}
    pages = list(paged(site, site.alice, "diary_shares", "shares", **arguments))
    given = [
        share
        for page in paged(site, site.alice, "diary_shares", "shares", limit=100)
        for share in page
    ]

    assert [[share["with"] for share in page] for page in pages] == [["bob"], ["eve"]]
    assert [share["with"] for share in given if share["entry_id"] == entry["id"]] == ["bob", "eve"]


def test_whoami_tells_the_agent_its_counts_and_what_it_runs_on(site: Deployment) -> None:
    before = site.good(site.eve, "diary_whoami")
    entry = site.eve.create()
    site.eve.call("diary_share", entry_id=entry["id"], with_="bob")

    after = site.good(site.eve, "diary_whoami")

    assert after["agent"] == "eve"
    assert after["groups"] == []
    assert after["counts"]["entries"] == before["counts"]["entries"] + 1
    assert after["backends"] == {"database": "postgresql", "permissions": "embedded"}


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("diary_list", {}),
        ("diary_list", {"types": ["note"]}),
        ("diary_search", {"query": "word"}),
        ("diary_shares", {}),
    ],
)
def test_a_damaged_cursor_or_one_of_another_list_is_refused(
    site: Deployment, tool: str, arguments: Json
) -> None:
    tag = uuid4().hex
    for _ in range(2):
        site.alice.create(tags=[tag])
    cursor = site.alice.call("diary_list", tags=[tag], limit=1).data["next_cursor"]
    assert cursor

    for wrong in (cursor, cursor[:-1], cursor[:-1] + "!", "x", "ü", "A" * 1_001):
        answer = site.alice.call(tool, **arguments, cursor=wrong)
        assert (answer.code, "cursor" in answer.text) == ("invalid_argument", True), wrong


def test_a_cursor_of_another_agent_is_refused(site: Deployment) -> None:
    site.alice.create()
    site.alice.create()
    cursor = site.alice.call("diary_list", limit=1).data["next_cursor"]

    assert site.bob.call("diary_list", limit=1, cursor=cursor).code == "invalid_argument"


def paged(
    site: Deployment, client: RawClient, tool: str, rows: str, /, **arguments: object
) -> Iterator[list[Json]]:
    """The pages of a list, to its end."""
    page = site.good(client, tool, **arguments)
    yield page[rows]
    while "next_cursor" in page:
        page = site.good(client, tool, **arguments, cursor=page["next_cursor"])
        yield page[rows]
