"""What a person does on the page, and that nothing typed is lost where it is refused."""

import re

import pytest

from diary_mcp.domain.entry import EntryChanges
from diary_mcp.domain.fields import AgentName
from support.page import BASE, Browser, Page, PageSite

pytestmark = pytest.mark.anyio
ALICE = AgentName("alice")


def id_on(page: Page) -> str:
    """The id that the page of an entry tells."""
    found = re.search(r"Id ([0-9a-f-]{36})", page.text)
    assert found is not None, page.text
    return found[1]


async def open_and_submit(browser: Browser, path: str, **typed: str) -> Page:
    return await browser.submit(await browser.get(path), path, **typed)


async def test_an_entry_is_written_and_then_corrected(pages: PageSite) -> None:
    async with pages.browser() as browser:
        written = await open_and_submit(
            browser, "/write", title="First", content="It is\nblue.", tags="a tag\nother",
            type="decision", importance="0.9", key="k-1",
        )  # fmt: skip
        form = await browser.get(f"/write?supersedes={id_on(written)}")
        correction = await browser.submit(form, "/write", content="It is green.")

    first = await pages.diary.entries.get(ALICE, "k-1")
    assert (first.content, first.tags) == ("It is\nblue.", ("a tag", "other"))
    assert (first.type, first.importance) == ("decision", 0.9)
    assert "Written." in written.text
    assert str(first.superseded_by) == id_on(correction)
    assert "correction" in correction.text


async def test_sending_a_form_twice_writes_once(pages: PageSite) -> None:
    async with pages.browser() as browser:
        form = await browser.get("/write")
        once = await browser.submit(form, "/write", content="Once.")
        twice = await browser.submit(form, "/write", content="Once.")

    assert id_on(once) == id_on(twice)


async def test_what_is_refused_comes_back_as_it_was_typed(pages: PageSite) -> None:
    refused = {
        "importance should be a valid number": {"importance": "much"},
        "importance should be less than or equal to 1": {"importance": "7"},
        "tags should have at most 20": {"tags": "\n".join(map(str, range(21)))},
        "looks like a credential": {"content": "-----BEGIN PRIVATE KEY-----\nMIIEvQ"},
    }

    async with pages.browser() as browser:
        for why, typed in refused.items():
            page = await open_and_submit(browser, "/write", **{"content": "My\ntext", **typed})
            assert page.status == 400
            assert why in page.text
            fields = page.html.fields_of(f"{BASE}/write")
            assert {name: fields[name].replace("\r\n", "\n") for name in typed} == typed
            assert fields["content"]


async def test_an_edit_makes_a_version_of_what_was_changed_alone(pages: PageSite) -> None:
    content = "\n  one\r\ntwo\r\n\ttabs\r\n"
    entry_id = await pages.write(content, title="T", tags=["a, b"], importance=0.123456789)

    async with pages.browser() as browser:
        path = f"/entries/{entry_id}/edit"
        unchanged = await open_and_submit(browser, path)
        retitled = await open_and_submit(browser, path, title="New")

    entry = await pages.diary.entries.get(ALICE, str(entry_id))
    assert "Nothing to change" in unchanged.text
    assert "Saved as a new version." in retitled.text
    assert (entry.content, entry.tags, entry.importance) == (content, ("a, b",), 0.123456789)
    assert (entry.title, entry.version) == ("New", 2)


async def test_a_conflict_is_shown_and_nothing_is_lost(pages: PageSite) -> None:
    entry_id = await pages.write("one\ntwo")
    path = f"/entries/{entry_id}/edit"

    async with pages.browser() as browser:
        form = await browser.get(path)
        changes = EntryChanges(content="one\ntheirs")
        await pages.diary.entries.update(ALICE, str(entry_id), 1, changes)
        conflict = await browser.submit(form, path, content="one\nmine")
        between = await pages.diary.entries.get(ALICE, str(entry_id))
        saved = await browser.submit(conflict, path)

    assert conflict.status == 409
    assert "added: theirs" in conflict.text
    assert conflict.html.fields_of(f"{BASE}{path}")["content"].splitlines() == ["one", "mine"]
    assert (between.content, between.version) == ("one\ntheirs", 2)
    entry = await pages.diary.entries.get(ALICE, str(entry_id))
    assert (entry.content, entry.version, saved.status) == ("one\nmine", 3, 200)


async def test_what_is_shared_is_read_and_what_is_unshared_is_gone(pages: PageSite) -> None:
    entry_id = await pages.write("For bob.", title="Given")
    await pages.diary.agents.register(AgentName("bob"))
    path = f"/entries/{entry_id}"

    async with pages.browser() as alice, pages.browser("bob") as bob:
        before = await bob.get(path)
        page = await alice.get(path)
        shared = await alice.submit(
            page, f"{path}/share", note="see here", expires_at="2999-01-02T03:04", **{"with": "bob"}
        )
        await pages.settle(entry_id)
        during = await bob.get(path)
        unshared = await alice.submit(shared, f"{path}/unshare")
        after = await bob.get(path)
        listed = await bob.get("/shared")

    assert (before.status, during.status, after.status) == (404, 200, 404)
    assert "bob, until 2999-01-02 03:04" in shared.text
    assert "see here" in during.text
    assert "Not shared any more" in unshared.text
    assert "Given" not in listed.text


async def test_a_share_that_is_refused_says_why_beside_what_was_typed(pages: PageSite) -> None:
    entry_id = await pages.write("x")
    path = f"/entries/{entry_id}"

    async with pages.browser() as browser:
        page = await browser.get(path)
        unknown = await browser.submit(page, f"{path}/share", note="n", **{"with": "nobody"})
        oneself = await browser.submit(page, f"{path}/share", **{"with": "alice"})
        past = await browser.submit(
            page, f"{path}/share", expires_at="2001-01-01T00:00", **{"with": "bob"}
        )

    assert (unknown.status, oneself.status, past.status) == (400, 400, 400)
    assert "There is no agent or group 'nobody'" in unknown.text
    assert unknown.html.fields_of(f"{BASE}{path}/share")["with"] == "nobody"
    assert "is you, the owner" in oneself.text
    assert "is in the past" in past.text


async def test_what_goes_with_an_entry_is_said_before_it_goes(pages: PageSite) -> None:
    entry_id = await pages.write("x", title="Doomed")
    await pages.diary.entries.update(ALICE, str(entry_id), 1, EntryChanges(title="Doomed still"))
    await pages.share(entry_id, "bob")
    path = f"/entries/{entry_id}/delete"

    async with pages.browser() as browser:
        asking = await browser.get(path)
        deleted = await browser.submit(asking, path)
        gone = await browser.get(f"/entries/{entry_id}")

    assert "1 earlier version" in asking.text
    assert "1 share: bob can read it no longer" in asking.text
    assert "Deleted for good." in deleted.text
    assert gone.status == 404


async def test_a_viewer_can_do_nothing_with_what_it_reads(pages: PageSite) -> None:
    entry_id = await pages.write("x")
    await pages.share(entry_id, "bob")
    path = f"/entries/{entry_id}"

    async with pages.browser("bob") as browser:
        entry = await browser.get(path)
        csrf = (await browser.get("/write")).html.fields_of(f"{BASE}/write")["csrf"]
        sent = {"csrf": csrf, "expected_version": "1", "content": "y", "with": "carol"}
        steps = ("edit", "delete", "share", "unshare")
        answers = [await browser.post(f"{path}/{step}", sent) for step in steps]

    assert [form.action for form in entry.html.forms] == [f"{BASE}/search"]
    assert [answer.status for answer in answers] == [403] * 4
    assert (await pages.diary.entries.get(ALICE, str(entry_id))).version == 1


async def test_an_entry_of_somebody_else_is_not_there_for_any_form(pages: PageSite) -> None:
    entry_id = await pages.write("x")

    async with pages.browser("bob") as browser:
        csrf = (await browser.get("/write")).html.fields_of(f"{BASE}/write")["csrf"]
        steps = ("edit", "delete", "share", "unshare")
        sent = {"csrf": csrf, "content": "y", "with": "carol"}
        answers = [await browser.post(f"/entries/{entry_id}/{step}", sent) for step in steps]

    assert [answer.status for answer in answers] == [404] * 4
