"""The page under attack: by other sites, by other users of the machine, and by what it shows."""

import pytest

from support.html_pages import dangers_of
from support.page import BASE, PageSite

pytestmark = pytest.mark.anyio

SCRIPT = "<script>alert(1)</script>"
PAGES = ("/", "/search?query=alert", "/shared", "/tags", "/status", "/nowhere", "/entries/none",
         "/static/page.css")  # fmt: skip


async def test_a_link_signs_in_one_browser_once(pages: PageSite) -> None:
    async with pages.stranger() as browser:
        before = await browser.get("/")
        signing_in = await browser.sign_in()
        after = await browser.get("/")
        browser.client.cookies.clear()
        again = await browser.sign_in()
        still_out = await browser.get("/")

    assert (before.status, signing_in.status, after.status) == (401, 200, 200)
    assert (again.status, still_out.status) == (403, 401)
    assert "it was used already" in again.text


async def test_somebody_else_on_this_machine_gets_nothing(pages: PageSite) -> None:
    await pages.write("Secret.", title="Secret")

    async with pages.stranger() as browser:
        browser.client.cookies.set("diary", "guess")
        for path in ("/", "/sign-in", "/sign-in?link=guess", "/entries/x", "/search?query=secret"):
            page = await browser.get(path)
            assert page.status in {401, 403}, path
            assert "Secret" not in page.text
            assert "alice" not in page.text


async def test_no_script_and_no_other_site_and_no_other_port_gets_the_cookie(
    pages: PageSite,
) -> None:
    async with pages.stranger() as browser:
        cookie = (await browser.sign_in()).headers["set-cookie"]

    attributes = {each.strip().lower() for each in cookie.split(";")[1:]}
    # Another server on this machine has another port, for which browsers keep no cookies apart.
    assert attributes == {"httponly", "samesite=strict", f"path={BASE}"}


async def test_every_answer_tells_the_browser_what_it_must_not_do(pages: PageSite) -> None:
    async with pages.stranger() as browser:
        answers = [await browser.get(path) for path in (*PAGES, "/sign-in?link=guess")]
        await browser.sign_in()
        answers += [await browser.get(path) for path in PAGES]

    for headers in (answer.headers for answer in answers):
        policy = dict(
            each.split(maxsplit=1) for each in headers["content-security-policy"].split("; ")
        )
        assert {policy[each] for each in ("default-src", "frame-ancestors", "base-uri")} == {
            "'none'"
        }
        assert policy["form-action"] == "'self'"
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["cache-control"] == "no-store"
        assert headers["referrer-policy"] == "same-origin"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"


async def test_a_page_of_another_name_or_port_gets_nothing(pages: PageSite) -> None:
    attempts = {
        ("host", "evil.example"): 421,
        ("host", "localhost:4000"): 421,
        ("host", "127.0.0.1:4001"): 421,
        ("origin", "https://evil.example"): 403,
        ("origin", "http://127.0.0.1:4001"): 403,
        ("origin", "null"): 403,
    }

    async with pages.browser() as browser:
        for (name, value), status in attempts.items():
            page = await browser.get("/", **{name: value})
            assert page.status == status, value
            assert "alice" not in page.text


async def test_what_entries_hold_runs_loads_and_sends_nothing_on_any_page(pages: PageSite) -> None:
    first = await pages.write(
        f"{SCRIPT} ![p](https://tracker.example/p.png) [x](javascript:alert(1)) alert",
        title=f'"><img src=x onerror=alert(1)>{SCRIPT}',
        tags=[SCRIPT, '"onmouseover="alert(1)'],
        author=f"eve{SCRIPT}",
        session=f"'>{SCRIPT}",
        key=f"k{SCRIPT}",
    )
    second = await pages.write("alert", title=SCRIPT, supersedes=str(first))
    await pages.share(second, "bob", note=f"{SCRIPT}")
    await pages.share(first, "bob", note=f"{SCRIPT}")

    paths = [*PAGES[:5], f"/entries/{first}", f"/entries/{second}", f"/search?query={SCRIPT}"]
    paths += [f"/?tag={SCRIPT}", f"/?session={SCRIPT}", f"/tags?prefix={SCRIPT}"]
    paths += [f"/write?supersedes={second}", f"/entries/{first}/edit", f"/entries/{first}/delete"]
    paths += [f"/entries/{SCRIPT}", f"/entries/{first}/compare?old={SCRIPT}"]
    for agent in ("alice", "bob"):
        async with pages.browser(agent) as browser:
            for path in paths:
                page = await browser.get(path)
                assert dangers_of(page.html, BASE) == [], path


async def test_a_name_cannot_pretend_to_be_another(pages: PageSite) -> None:
    await pages.write("x", title="invoice\u202efdp.exe", tags=["a\u200bdmin"])

    async with pages.browser() as browser:
        page = await browser.get("/")

    assert "invoice⟨U+202E⟩fdp.exe" in page.text
    assert "a⟨U+200B⟩dmin" in page.text


async def test_a_form_that_no_page_of_ours_sent_changes_nothing(pages: PageSite) -> None:
    entry_id = await pages.write("Stays.")
    await pages.share(entry_id, "bob")
    steps = ("edit", "delete", "share", "unshare")
    paths = ("/write", *(f"/entries/{entry_id}/{step}" for step in steps))

    async with pages.browser() as browser, pages.browser() as elsewhere:
        fields = (await browser.get("/write")).html.fields_of(f"{BASE}/write")
        other = (await elsewhere.get("/write")).html.fields_of(f"{BASE}/write")
        sent = {**fields, "content": "Forged.", "with": "bob", "expected_version": "1"}
        for path in paths:
            answers = [
                await browser.post(path, {**sent, "csrf": ""}),
                await browser.post(path, {**sent, "csrf": other["csrf"]}),
                await browser.post(path, sent, origin=None),
                await browser.post(path, sent, origin="null"),
                await browser.post(path, sent, origin="https://evil.example"),
            ]
            assert [answer.status for answer in answers] == [403] * 5
        read = [await browser.get(path) for path in paths[3:]]
        entry = await browser.get(f"/entries/{entry_id}")
        timeline = await browser.get("/")

    assert [answer.status for answer in read] == [405, 405]
    assert "Stays." in entry.text
    assert "bob" in entry.text
    assert "Forged." not in timeline.text


async def test_a_body_that_is_no_form_of_ours_is_refused(pages: PageSite) -> None:
    async with pages.browser() as browser:
        long = await browser.post("/write", {"content": "x" * (2 << 20)})
        many = await browser.post("/write", {f"field{number}": "" for number in range(100)})

    assert (long.status, many.status) == (400, 400)


async def test_an_address_with_a_nul_is_refused_and_not_looked_up(pages: PageSite) -> None:
    paths = ("/entries/%00", "/entries/x%00/edit", "/entries/%00/compare", "/write?supersedes=%00",
             "/changes?entries=%00", "/?tag=%00", "/search?query=%00", "/diary?name=%00",
             "/tags?prefix=%00")  # fmt: skip

    async with pages.browser() as browser:
        answers = [await browser.get(path) for path in paths]

    assert [answer.status for answer in answers] == [400] * len(paths)
    assert [answer.text for answer in answers if "invalid_argument:" not in answer.text] == []
