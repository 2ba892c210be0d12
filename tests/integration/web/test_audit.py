"""The audit trail on the page: what an agent gave and was given, and nothing of others'."""

import pytest

from diary_mcp.domain.fields import AgentName, Grantee
from support.html_pages import dangers_of
from support.page import BASE, PageSite

pytestmark = pytest.mark.anyio


async def test_the_trail_says_who_gave_what_to_whom(pages: PageSite) -> None:
    gil = AgentName("gil")
    kept = await pages.write("a", "gil", title="<b>Kept</b>\u202e")
    gone = await pages.write("b", "gil", title="Gone")
    secret = await pages.write("c", "ira", title="Secret")
    for name in ("hal", "ira"):
        await pages.diary.agents.register(AgentName(name))
    await pages.diary.sharing.share(gil, str(kept), Grantee("hal"), expires_at=None)
    await pages.diary.sharing.share(gil, str(gone), Grantee("hal"))
    await pages.diary.entries.delete(gil, str(gone))
    await pages.diary.sharing.unshare(gil, str(kept), Grantee("hal"))
    await pages.diary.diaries.open(gil, "team")
    await pages.diary.diaries.share(gil, "team", Grantee("hal"), role="writer")
    await pages.diary.sharing.share(AgentName("ira"), str(secret), Grantee("hal"))

    async with pages.browser("gil") as giver, pages.browser("hal") as given:
        by_giver = await giver.get("/audit")
        by_given = await given.get("/audit")

    told = by_giver.text
    steps = ["you let hal read and write in the diary team", "you stopped letting hal read <b>Kept",
             "you deleted an entry that hal could read", "you let hal read an entry",
             "you let hal read <b>Kept</b>⟨U+202E⟩"]  # fmt: skip
    places = [told.index(step) for step in steps]
    assert places == sorted(places)
    assert "ira" not in told
    assert dangers_of(by_giver.html, BASE) == []
    assert "ira let you read an entry" in by_given.text
    # An entry that was deleted and one that is not shared any more look the same.
    assert by_given.text.count("gil stopped letting you read an entry") == 2
    assert "deleted" not in by_given.text.replace("when an entry is deleted", "")
    assert "Kept" not in by_given.text
    assert "Secret" not in by_given.text


async def test_the_trail_goes_on_where_it_stopped(pages: PageSite) -> None:
    jan = AgentName("jan")
    entry_id = await pages.write("a", "jan")
    for number in range(52):
        await pages.diary.agents.register(AgentName(f"reader-{number}"))
        await pages.diary.sharing.share(jan, str(entry_id), Grantee(f"reader-{number}"))

    async with pages.browser("jan") as browser:
        first = await browser.get("/audit")
        (older,) = [link for link in first.html.links() if "cursor=" in link]
        second = await browser.get(older.removeprefix(BASE))
        made_up = await browser.get("/audit?cursor=AAAA")

    seen = f"{first.text} {second.text} "
    assert [n for n in range(52) if seen.count(f"let reader-{n} read") != 1] == []
    assert made_up.status == 400


async def test_who_has_a_name_now_sees_nothing_of_who_had_it_before(pages: PageSite) -> None:
    kai, lou = AgentName("kai"), AgentName("lou")
    entry_id = await pages.write("a", "kai")
    await pages.diary.agents.register(lou)
    await pages.diary.sharing.share(kai, str(entry_id), Grantee("lou"))
    async with pages.foundation.database.connection() as connection:
        await connection.execute("delete from diary.share where grantee = 'lou'")
        await connection.execute("delete from diary.agent where name = 'lou'")
    await pages.diary.agents.register(lou)

    async with pages.browser("lou") as browser:
        page = await browser.get("/audit")

    assert "Nothing was shared yet." in page.text
    assert "kai" not in page.text
