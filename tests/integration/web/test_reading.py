"""What a person finds on the page, and what of others' is not there."""

import pytest

from diary_mcp.domain.entry import EntryChanges
from diary_mcp.domain.fields import AgentName, Grantee
from support.page import PageSite

pytestmark = pytest.mark.anyio


async def test_the_timeline_shows_ones_own_entries_by_day_the_newest_first(pages: PageSite) -> None:
    await pages.write("First.", "ann", title="Old", date="2026-01-02T10:00:00Z")
    await pages.write("Second.", "ann", title="New", date="2026-01-03T10:00:00Z")
    await pages.write("Bob's.", "bob", title="Not mine")

    async with pages.browser("ann") as browser:
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


async def test_the_beginning_of_an_entry_is_shown_on_one_line(pages: PageSite) -> None:
    await pages.write("One line.\n\n\tAnd another\u202e.", "lea", title="Lines")

    async with pages.browser("lea") as browser:
        page = await browser.get("/")

    assert "One line. And another⟨U+202E⟩." in page.text


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


async def test_activity_is_counted_by_day_and_leads_to_what_was_written(pages: PageSite) -> None:
    problem = await pages.write("p", "una", type="problem", date="2026-03-04T23:30:00Z")
    await pages.write("q", "una", type="problem", date="2026-03-04T08:00:00Z", title="Still open")
    await pages.write(
        "s", "una", type="decision", date="2026-03-09T08:00:00Z", supersedes=[str(problem)]
    )
    await pages.diary.diaries.open(AgentName("una"), "side")
    await pages.write("x", "una", diary="side", date="2025-05-06T08:00:00Z")

    async with pages.browser("una") as browser:
        whole = await browser.get("/activity?year=2026")
        side = await browser.get("/activity?diary=side&year=2025")
        nobody = await browser.get("/activity?diary=nobody/theirs")
        day = await browser.get("/?since=2026-03-04&until=2026-03-04")
        still = await browser.get("/?type=problem&standing=yes")

    assert "3 entries on 2 days of 2026; the most, 2, on Wednesday, 4 March 2026" in whole.text
    assert "How it grew: 4 now" in whole.text
    assert "Open problems: 1 now" in whole.text
    assert any("since=2026-03-04&until=2026-03-04" in link for link in whole.html.links())
    assert "1 entry on 1 day of 2025" in side.text
    assert any("since=2025-05-06" in link and "diary=side" in link for link in side.html.links())
    assert nobody.status == 404
    assert day.text.count("problem") >= 2
    assert "Still open" in still.text
    assert "Untitled problem" not in still.text


async def test_an_agent_without_entries_has_no_activity(pages: PageSite) -> None:
    async with pages.browser("vic") as browser:
        page = await browser.get("/activity")

    assert (page.status, "Nothing is written yet." in page.text) == (200, True)


async def test_what_corrects_what_is_drawn_as_far_as_it_can_be_read(pages: PageSite) -> None:
    wim = AgentName("wim")
    ids = [await pages.write(f"w{n}", "wim", title=f"Part {n}") for n in range(3)]
    middle = await pages.write("m", "wim", title="Middle", supersedes=[str(each) for each in ids])
    last = await pages.write("l", "wim", title="Last", supersedes=[str(middle)])
    await pages.diary.agents.register(AgentName("xia"))
    await pages.diary.sharing.share(wim, str(middle), Grantee("xia"))
    await pages.settle(middle)

    async with pages.browser("wim") as browser, pages.browser("xia") as other:
        page = await browser.get(f"/entries/{ids[1]}")
        alone = await other.get(f"/entries/{middle}")

    where = page.text[page.text.index("Corrections") :]
    assert where.index("Last") < where.index("Middle") < where.index("Part 1")
    assert all(f"Part {number}" in where for number in range(3))
    assert "this entry" in where
    assert str(last) in page.html.html
    assert "Corrections" not in alone.text
    assert "Part" not in alone.text
    assert "Last" not in alone.text
