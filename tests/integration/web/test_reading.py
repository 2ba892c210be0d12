"""What a person finds on the page, and what of others' is not there."""

import pytest

from diary_mcp.domain.entry import EntryChanges
from diary_mcp.domain.fields import AgentName
from support.page import PageSite

pytestmark = pytest.mark.anyio


async def test_the_timeline_shows_ones_own_entries_by_day_the_newest_first(pages: PageSite) -> None:
    await pages.write("First.", title="Old", date="2026-01-02T10:00:00Z")
    await pages.write("Second.", title="New", date="2026-01-03T10:00:00Z", tags=["one", "two"])
    await pages.write("Bob's.", agent="bob", title="Not mine")

    async with pages.browser() as browser:
        page = await browser.get("/")

    assert "Saturday, 3 January 2026 New" in page.text
    assert (
        page.text.index("New") < page.text.index("Friday, 2 January 2026") < page.text.index("Old")
    )
    assert "Not mine" not in page.text


async def test_the_timeline_can_be_filtered_and_goes_on_where_it_stopped(pages: PageSite) -> None:
    for number in range(35):
        await pages.write(f"Entry number {number}.", type="decision", session="s-1", tags=["t"])
    await pages.write("A note.", author="somebody", title="The odd one")

    async with pages.browser() as browser:
        first = await browser.get("/?type=decision&tag=t&session=s-1")
        (older,) = [link for link in first.html.links() if "cursor=" in link]
        second = await browser.get(older.removeprefix("/not-to-be-guessed"))
        by_author = await browser.get("/?author=somebody&type=")

    assert "The odd one" not in first.text
    seen = first.text + second.text
    assert [number for number in range(35) if seen.count(f"Entry number {number}.") != 1] == []
    assert "The odd one" in by_author.text
    assert "Entry number" not in by_author.text


async def test_a_filter_that_cannot_be_used_is_told_as_the_tools_tell_it(pages: PageSite) -> None:
    asked = ("type=nothing", "since=whenever", "cursor=x", f"tag={'t' * 65}")

    async with pages.browser() as browser:
        answers = [await browser.get(f"/?{each}") for each in asked]
        answers.append(await browser.get("/search?query=x&mode=psychic"))

    assert [answer.status for answer in answers] == [400] * 5
    assert [answer.text for answer in answers if "invalid_argument:" not in answer.text] == []


async def test_a_search_says_why_it_found_what_it_found(pages: PageSite) -> None:
    await pages.write("We chose PostgreSQL over SQLite.", title="The database")

    async with pages.browser() as browser:
        found = await browser.get("/search?query=postgresql+chosen&mode=text")
        nothing = await browser.get("/search?query=marmalade&mode=text")

    assert "The database" in found.text
    assert "matched: postgresql" in found.text
    assert "Nothing found" in nothing.text


async def test_an_entry_shows_what_it_says_what_it_corrects_and_who_may_read_it(
    pages: PageSite,
) -> None:
    old = await pages.write("It is *blue*.", title="Wrong")
    new = await pages.write("It is **green**.", title="Right", supersedes=str(old))
    await pages.share(new, "bob", note="for you")

    async with pages.browser() as browser:
        corrected = await browser.get(f"/entries/{old}")
        correction = await browser.get(f"/entries/{new}")

    assert "Corrected since: Right" in corrected.text
    assert "It is blue." in corrected.text
    assert "Who can read this alice, the owner Share with" in corrected.text
    assert f"/not-to-be-guessed/entries/{old}" in correction.html.links()
    assert "bob: for you" in correction.text
    assert "No signature yet" in correction.text


async def test_two_versions_are_shown_beside_each_other(pages: PageSite) -> None:
    entry_id = await pages.write("one\ntwo", title="T")
    alice = AgentName("alice")
    changes = EntryChanges(content="one\nthree", tags=["new"])
    await pages.diary.entries.update(alice, str(entry_id), 1, changes)

    async with pages.browser() as browser:
        entry = await browser.get(f"/entries/{entry_id}")
        page = await browser.get(f"/entries/{entry_id}/compare?old=1&new=2")
        missing = await browser.get(f"/entries/{entry_id}/compare?old=7&new=2")

    assert "compare version 1 with this one" in entry.text
    assert "removed: two" in page.text
    assert "added: three" in page.text
    assert missing.status == 404


async def test_another_agent_sees_what_is_shared_with_it_and_no_more(pages: PageSite) -> None:
    entry_id = await pages.write("Kept from others.", title="Shared one")
    secret = await pages.write("Not shared.", title="Secret one")
    await pages.share(entry_id, "bob", note="please read")
    await pages.share(entry_id, "carol")

    async with pages.browser("bob") as browser:
        shared = await browser.get("/shared")
        entry = await browser.get(f"/entries/{entry_id}")
        versions = await browser.get(f"/entries/{entry_id}/compare")
        hidden = await browser.get(f"/entries/{secret}")
        absent = await browser.get("/entries/01a209f7-3236-76fc-9537-63feee86b6c8")

    assert "Shared one" in shared.text
    assert "Secret one" not in shared.text
    assert "alice, another agent, wrote this and shares it with you" in entry.text
    assert "please read" in entry.text
    assert "carol" not in entry.text
    assert versions.status == 403
    assert (hidden.status, absent.status) == (404, 404)
    assert hidden.text.replace(str(secret), "ID") == absent.text.replace(
        "01a209f7-3236-76fc-9537-63feee86b6c8", "ID"
    )


async def test_tags_and_status_say_how_things_are(pages: PageSite) -> None:
    await pages.write("x", "ted", tags=["used"])

    async with pages.browser("ted") as browser:
        tags = await browser.get("/tags")
        status = await browser.get("/status")

    assert "used 1" in tags.text
    assert "Agent ted" in status.text
    assert "Entries 1, 0 of them shared" in status.text
