"""An open page hears that something changed elsewhere, and nothing else."""

from contextlib import AsyncExitStack

import anyio
import pytest
from anyio.streams.memory import MemoryObjectReceiveStream

from diary_mcp.domain.entry import EntryChanges
from diary_mcp.domain.fields import AgentName, Grantee
from diary_mcp.web.changes import MAX_STREAMS_OF_ONE_SIGN_IN
from support.page import PageSite

pytestmark = pytest.mark.anyio
DEADLINE_S = 20
OPEN, CHANGED = "event: following\ndata: 1\n\n", "event: changed\ndata: 1\n\n"


async def hear(stream: MemoryObjectReceiveStream[str]) -> str:
    with anyio.fail_after(DEADLINE_S):
        return await stream.receive()


async def test_a_page_hears_of_the_entries_on_it_and_not_what_they_say(pages: PageSite) -> None:
    ada = AgentName("ada")
    shown, other = [await pages.write("Before.", "ada") for _ in range(2)]

    async with (
        pages.browser("ada") as browser,
        browser.listening(f"/changes?entries={shown}") as stream,
    ):
        begun = [await hear(stream), await hear(stream)]
        await pages.diary.entries.update(ada, str(other), 1, EntryChanges(content="Unseen."))
        await pages.diary.entries.update(ada, str(shown), 1, EntryChanges(content="Secret."))
        heard = await hear(stream)
        await pages.diary.entries.delete(ada, str(shown))
        gone = await hear(stream)

    assert begun == ["200", OPEN]
    assert (heard, gone) == (CHANGED, CHANGED)


async def test_nobody_hears_of_what_it_cannot_read(pages: PageSite) -> None:
    bea = AgentName("bea")
    secret = await pages.write("Secret.", "bea")
    given = await pages.write("Given.", "bea")
    await pages.diary.agents.register(AgentName("cleo"))
    await pages.diary.sharing.share(bea, str(given), Grantee("cleo"))
    await pages.settle(given)

    own = await pages.write("Of cleo.", "cleo")

    async with (
        pages.browser("cleo") as browser,
        browser.listening(f"/changes?entries={secret},{given}") as stream,
        browser.listening(f"/changes?entries={own}") as of_own,
    ):
        for each in (stream, of_own):
            assert [await hear(each), await hear(each)] == ["200", OPEN]
        await pages.diary.entries.update(bea, str(secret), 1, EntryChanges(content="x"))
        await pages.diary.sharing.unshare(bea, str(given), Grantee("cleo"))
        unshared = await hear(stream)
        await pages.diary.entries.update(bea, str(given), 1, EntryChanges(content="x"))
        await pages.diary.entries.delete(bea, str(secret))
        await pages.diary.entries.update(AgentName("cleo"), str(own), 1, EntryChanges(content="x"))
        # What came before was told before.
        assert await hear(of_own) == CHANGED
        rest = stream.statistics().current_buffer_used

    assert unshared == CHANGED
    assert rest == 0


async def test_a_list_hears_of_a_new_entry_that_its_reader_may_read_and_of_no_other(
    pages: PageSite,
) -> None:
    async with (
        pages.browser("gil") as of_gil,
        pages.browser("hal") as of_hal,
        of_gil.listening("/changes?kind=list") as mine,
        of_hal.listening("/changes?kind=list") as others,
    ):
        for stream in (mine, others):
            assert [await hear(stream), await hear(stream)] == ["200", OPEN]
        await pages.settle(await pages.write("New.", "gil"))
        assert await hear(mine) == CHANGED
        assert others.statistics().current_buffer_used == 0
        await pages.settle(await pages.write("New.", "hal"))
        assert await hear(others) == CHANGED


async def test_whose_lists_are_not_what_they_were_is_announced(pages: PageSite) -> None:
    ida, jon = AgentName("ida"), AgentName("jon")
    for name in (ida, jon):
        await pages.diary.agents.register(name)
    theirs = await pages.write("Of jon.", "jon")
    diary, sharing, entries = pages.diary.diaries, pages.diary.sharing, pages.diary.entries

    async with pages.diary.watching.announcer.listen() as announced:
        announcements = aiter(announced)

        async def told() -> set[str]:
            """To whom what was committed until now is announced."""
            await pages.announce("end")
            names = set[str]()
            with anyio.fail_after(DEADLINE_S):
                while (announcement := await anext(announcements)).reader != "end":
                    if announcement.entry_id is None:
                        names.add(str(announcement.reader))
            return names

        entry = await pages.write("New.", "ida")
        assert await told() == set(), "a write waits for no other's commit"
        await pages.settle(entry)
        assert await told() == {"ida"}
        await entries.update(ida, str(entry), 1, EntryChanges(content="Newer."))
        assert await told() == {"ida"}
        await sharing.share(ida, str(entry), Grantee("jon"))
        await pages.settle(entry)
        assert await told() == {"ida", "jon"}
        await entries.update(ida, str(entry), 2, EntryChanges(tags=["now"]))
        assert await told() == {"ida", "jon"}
        await sharing.unshare(ida, str(entry), Grantee("jon"))
        assert await told() == {"jon"}
        await entries.delete(ida, str(entry))
        assert await told() == {"ida"}

        await diary.open(ida, "together")
        await pages.settle_diary("ida", "together")
        assert await told() == {"ida"}
        await diary.share(ida, "together", Grantee("jon"), role="writer")
        await pages.settle_diary("ida", "together")
        assert await told() == {"ida", "jon"}
        await entries.update(jon, str(theirs), 1, EntryChanges(diary="ida/together"))
        await told()
        await pages.settle(theirs)
        assert await told() == {"ida", "jon"}
        await diary.rename(ida, "together", "apart")
        assert await told() == {"ida", "jon"}
        await entries.update(ida, str(theirs), 2, EntryChanges(diary="main"))
        assert await told() == {"ida", "jon"}, "put out, with the role still there"
        await diary.unshare(ida, "apart", Grantee("jon"))
        assert await told() == {"jon"}
        await diary.transfer(ida, "apart", jon)
        assert await told() == {"ida", "jon"}
        await diary.remove(jon, "apart")
        assert await told() == {"jon"}


async def test_signing_out_ends_the_stream(pages: PageSite) -> None:
    async with pages.browser("dot") as browser, browser.listening("/changes") as stream:
        assert [await hear(stream), await hear(stream)] == ["200", OPEN]
        page = await browser.get("/write")
        csrf = page.html.fields_of("/not-to-be-guessed/write")["csrf"]

        await browser.post("/sign-out", {"csrf": csrf})

        assert await hear(stream) == ""
        with pytest.raises(anyio.EndOfStream), anyio.fail_after(DEADLINE_S):
            await stream.receive()


async def test_a_browser_is_left_connections_for_pages(pages: PageSite) -> None:
    async with pages.browser("eli") as browser:
        async with AsyncExitStack() as leaving:
            for _ in range(MAX_STREAMS_OF_ONE_SIGN_IN):
                stream = await leaving.enter_async_context(browser.listening("/changes"))
                assert [await hear(stream), await hear(stream)] == ["200", OPEN]
            refused = await browser.get("/changes")
        async with browser.listening("/changes") as stream:
            again = await hear(stream)

    assert (refused.status, "close some" in refused.text) == (503, True)
    assert again == "200"


async def test_who_is_not_signed_in_or_asks_for_too_much_hears_nothing(pages: PageSite) -> None:
    async with pages.stranger("flo") as browser:
        outside = await browser.get("/changes")
        await browser.sign_in()
        too_much = await browser.get(f"/changes?entries={','.join('x' * 51)}")

    assert (outside.status, too_much.status) == (401, 400)
