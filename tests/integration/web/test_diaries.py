"""Diaries on the page: which one is shown, and what their owners and others do with them."""

import pytest

from diary_mcp.domain.fields import AgentName, Grantee
from support.page import Browser, Page, PageSite

pytestmark = pytest.mark.anyio


async def open_and_submit(browser: Browser, path: str, action: str, **typed: str) -> Page:
    return await browser.submit(await browser.get(path), action, **typed)


async def test_the_current_diary_is_what_is_shown_and_written_to(pages: PageSite) -> None:
    await pages.write("Of all days.", "ann", title="Kept in main")

    async with pages.browser("ann", current="website") as browser:
        empty = await browser.get("/")
        written = await open_and_submit(browser, "/write", "/write", content="x", title="In site")
        timeline = await browser.get("/")
        everything = await browser.get("/?diary=*")
        main = await browser.get("/?diary=main")

    assert "The diary 'website' is empty" in empty.text
    assert written.status == 200
    assert "In site" in timeline.text
    assert "Kept in main" not in timeline.text
    assert "Kept in main" in everything.text
    assert "In site" in everything.text
    assert "In site" not in main.text


async def test_one_diary_can_be_looked_into_listed_searched_and_counted(pages: PageSite) -> None:
    for name in ("plans", "other"):
        await pages.diary.diaries.open(AgentName("ben"), name)
        await pages.write(f"A word of {name}.", "ben", title=f"T {name}", tags=[name], diary=name)

    async with pages.browser("ben") as browser:
        shown = [
            await browser.get(f"/{path}diary=plans")
            for path in ("?", "search?query=word&mode=text&", "tags?")
        ]
        filtered = await browser.get("/?diary=plans&type=note")
        nowhere = await browser.get("/?diary=planz")

    for page in shown:
        assert "plans" in page.text
        assert "T other" not in page.text
        assert "other 1" not in page.text
        keeping = [link for link in page.html.links() if link.endswith("?diary=plans")]
        assert any("/tags" in link for link in keeping), "the other pages stay in the diary"
    assert "T plans" in filtered.text
    assert filtered.html.fields_of("/not-to-be-guessed/")["diary"] == "plans"
    assert (nowhere.status, "Close to it: plans" in nowhere.text) == (404, True)


async def test_diaries_are_listed_with_roles_and_made_once(pages: PageSite) -> None:
    async with pages.browser("cid") as browser:
        made = await open_and_submit(browser, "/diaries", "/diaries", name="garden")
        again = await open_and_submit(browser, "/diaries", "/diaries", name="garden")
        refused = await open_and_submit(browser, "/diaries", "/diaries", name="No Name")
        listed = await browser.get("/diaries")

    assert "The diary is there." in made.text
    assert again.status == 200
    assert refused.status == 400
    assert "is not a valid name" in refused.text
    assert refused.html.fields_of("/not-to-be-guessed/diaries")["name"] == "No Name"
    assert listed.text.count("garden owner 0") == 1
    assert "main owner 0" in listed.text


async def test_a_role_is_given_used_and_taken_back(pages: PageSite) -> None:
    await pages.diary.diaries.open(AgentName("dan"), "team")
    await pages.write("Read me.", "dan", title="For the team", diary="team")
    await pages.diary.agents.register(AgentName("eve"))
    path = "/diary?name=team"

    async with pages.browser("dan") as dan, pages.browser("eve") as eve:
        before = await eve.get("/?diary=dan/team")
        given = await open_and_submit(
            dan, path, "/diary/share", note="join us", role="writer", **{"with": "eve"}
        )
        await pages.settle_diary("dan", "team")
        during = await eve.get("/?diary=dan/team")
        listed = await eve.get("/diaries")
        wrote = await open_and_submit(
            eve, "/write?diary=dan/team", "/write", content="Of eve.", title="By eve"
        )
        seen = await dan.get("/?diary=team")
        taken = await dan.submit(given, "/diary/unshare")
        after = await eve.get("/?diary=dan/team")

    assert (before.status, during.status, after.status) == (404, 200, 404)
    assert "For the team" in during.text
    assert "eve writer" in given.text
    assert "join us" in given.text
    assert "dan/team writer 1" in listed.text
    assert wrote.status == 200
    assert "By eve" in seen.text
    assert "Taken back" in taken.text
    assert "eve writer" not in taken.text


async def test_an_entry_is_moved_and_one_of_another_is_put_out(pages: PageSite) -> None:
    fay, gus = AgentName("fay"), AgentName("gus")
    await pages.diary.diaries.open(fay, "team")
    await pages.diary.agents.register(gus)
    await pages.diary.diaries.share(fay, "team", Grantee("gus"), role="writer")
    await pages.settle_diary("fay", "team")
    own = await pages.write("Mine.", "fay", title="Of fay")
    theirs = await pages.write("Theirs.", "gus", title="Of gus", diary="fay/team")
    await pages.settle(theirs)

    async with pages.browser("fay") as browser:
        path = f"/entries/{own}"
        moved = await open_and_submit(browser, path, f"{path}/move", diary="team")
        team = await browser.get("/?diary=team")
        twice = await browser.submit(moved, f"{path}/move", diary="nowhere")
        put_out = await open_and_submit(browser, f"/entries/{theirs}", f"/entries/{theirs}/move")
        left = await browser.get("/?diary=team")

    assert "Moved." in moved.text
    assert "Of fay" in team.text
    assert "Of gus" in team.text
    assert (twice.status, "No diary 'nowhere'" in twice.text) == (404, True)
    assert put_out.status == 200
    assert "Of gus" not in left.text
    assert (await pages.diary.entries.get(gus, str(theirs))).diary is None


async def test_a_diary_is_renamed_given_away_and_removed(pages: PageSite) -> None:
    await pages.diary.agents.register(AgentName("ivy"))

    async with pages.browser("hal") as browser:
        await open_and_submit(browser, "/diaries", "/diaries", name="old")
        renamed = await open_and_submit(browser, "/diary?name=old", "/diary/rename", new_name="new")
        await open_and_submit(browser, "/diaries", "/diaries", name="gift")
        wrong = await open_and_submit(browser, "/diary?name=gift", "/diary/transfer", owner="hall")
        given = await browser.submit(wrong, "/diary/transfer", owner="ivy")
        removed = await open_and_submit(browser, "/diary?name=new", "/diary/remove")
        main = await browser.get("/diary?name=main")

    assert "Renamed." in renamed.text
    assert (wrong.status, "no agent or group 'hall'" in wrong.text) == (400, True)
    assert wrong.html.fields_of("/not-to-be-guessed/diary/transfer")["owner"] == "hall"
    assert "Given away." in given.text
    assert "Removed." in removed.text
    assert "new owner" not in removed.text
    assert {form.action.rpartition("/")[2] for form in main.html.forms} == {"search", "share"}
    names = [each.full_name.seen_by(AgentName("ivy")) for each in
             await pages.diary.diaries.list(AgentName("ivy"))]  # fmt: skip
    assert names == ["gift", "main"]


async def test_who_has_no_role_or_a_lesser_one_can_do_nothing(pages: PageSite) -> None:
    jan = AgentName("jan")
    await pages.diary.diaries.open(jan, "hers")
    await pages.diary.diaries.open(jan, "secret")
    await pages.write("x", "jan", title="Hidden", diary="secret")
    await pages.diary.agents.register(AgentName("kim"))
    await pages.diary.diaries.share(jan, "hers", Grantee("kim"))
    await pages.settle_diary("jan", "hers")

    async with pages.browser("kim") as browser:
        page = await browser.get("/diary?name=jan/hers")
        csrf = (await browser.get("/diaries")).html.fields_of("/not-to-be-guessed/diaries")["csrf"]
        steps = ("share", "unshare", "rename", "transfer", "remove")
        sent = {"csrf": csrf, "with": "kim", "role": "writer", "new_name": "x", "owner": "kim"}
        statuses = {
            name: [(await browser.post(f"/diary/{step}", {**sent, "name": name})).status
                   for step in steps]
            for name in ("jan/hers", "jan/secret", "jan/none")
        }  # fmt: skip
        hidden = await browser.get("/diary?name=jan/secret")
        wrote = await browser.post("/write", {"csrf": csrf, "content": "y", "diary": "jan/hers"})

    assert "You may read it." in page.text
    assert [form.action for form in page.html.forms] == ["/not-to-be-guessed/search"]
    assert statuses == {"jan/hers": [403] * 5, "jan/secret": [404] * 5, "jan/none": [404] * 5}
    assert hidden.status == 404
    assert (wrote.status, "You may read the diary jan/hers" in wrote.text) == (403, True)
