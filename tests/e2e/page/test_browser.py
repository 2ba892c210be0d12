"""The page in a real browser, on `diary-mcp open` as a person starts it."""

# Selenium leaves the types of what scripts take and give open.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

from collections.abc import Generator

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.expected_conditions import staleness_of
from selenium.webdriver.support.select import Select

from support.ground_truth import eventually, is_settled
from support.open_page import opened, patiently, violations

pytestmark = pytest.mark.xdist_group("browser")

_PHONE = (360, 740)


@pytest.fixture(scope="module")
def bases(browser: Chrome, database: str) -> Generator[dict[str, str]]:
    """Where alice's page and bob's are, with the browser signed in to both."""
    with (
        opened(database, "--no-browser", agent="alice") as of_alice,
        opened(database, "--no-browser", agent="bob") as of_bob,
    ):
        links = {"alice": of_alice, "bob": of_bob}
        for link in links.values():
            browser.get(link)
            wait_for(browser, "//h1[.='Timeline']")
        yield {agent: link.partition("/sign-in")[0] for agent, link in links.items()}


def wait_for(browser: Chrome, path: str) -> None:
    """Waits until the page has what the XPath names."""
    patiently(browser).until(lambda page: page.find_elements(By.XPATH, path))


def fill(browser: Chrome, **fields: str) -> None:
    for name, text in fields.items():
        field = browser.find_element(By.CSS_SELECTOR, f"main [name={name}]")
        if field.tag_name == "select":
            Select(field).select_by_visible_text(text)
        else:
            field.clear()
            field.send_keys(text)


def press(browser: Chrome, button: str) -> None:
    path = f"//main//button[normalize-space()='{button}']"
    leave_by(browser, browser.find_element(By.XPATH, path))


def follow(browser: Chrome, link: str) -> None:
    leave_by(browser, browser.find_element(By.LINK_TEXT, link))


def leave_by(browser: Chrome, element: WebElement) -> None:
    """Clicks, and waits until this page has gone: a click returns before the browser leaves."""
    page = browser.find_element(By.TAG_NAME, "html")
    element.click()
    patiently(browser).until(staleness_of(page))


def text_of(browser: Chrome) -> str:
    return browser.find_element(By.TAG_NAME, "main").text


def test_an_entry_is_found_corrected_shared_taken_back_and_deleted(
    browser: Chrome, bases: dict[str, str], database: str
) -> None:
    alice, bob = bases["alice"], bases["bob"]

    browser.get(f"{alice}/write")
    fill(browser, title="The sky", content="It is **yellow**.\n\n- said so", type="discovery")
    press(browser, "Write")
    assert "Written." in text_of(browser)
    assert browser.find_element(By.CSS_SELECTOR, ".content strong").text == "yellow"

    browser.find_element(By.ID, "find").send_keys("yellow sky", Keys.ENTER)
    wait_for(browser, "//h1[.='Search']")
    assert "matched: " in text_of(browser)
    follow(browser, "The sky")

    follow(browser, "Correct")
    fill(browser, title="The sky, looked at", content="It is blue.")
    press(browser, "Write")
    wait_for(browser, "//h1[.='The sky, looked at']")
    entry = browser.current_url.partition("?")[0].removeprefix(alice)
    follow(browser, "The sky")
    assert "Corrected since: The sky, looked at" in text_of(browser)

    browser.get(f"{alice}{entry}")
    fill(browser, **{"with": "bob"}, note="look up")
    press(browser, "Share")
    assert "look up" in text_of(browser)
    eventually(lambda: is_settled(database))
    browser.get(f"{bob}/shared")
    follow(browser, "The sky, looked at")
    assert "alice, another agent, wrote this" in text_of(browser)

    browser.get(f"{alice}{entry}")
    press(browser, "Stop sharing with bob")
    browser.get(f"{bob}{entry}")
    assert "not_found" in text_of(browser)

    browser.get(f"{alice}{entry}/delete")
    press(browser, "Delete for good")
    assert "Deleted for good." in text_of(browser)
    browser.get(f"{alice}{entry}")
    assert "not_found" in text_of(browser)


def test_nothing_that_an_entry_holds_runs_or_is_fetched(
    browser: Chrome, bases: dict[str, str]
) -> None:
    attack = (
        "<script>document.title='run'</script><img src=x onerror=\"document.title='run'\">"
        "![p](http://127.0.0.1:9/pixel.png) [x](javascript:document.title='run')"
    )
    browser.get_log("browser")  # What came before is forgotten.
    browser.get(f"{bases['alice']}/write")
    fill(browser, title=attack, content=attack, tags=attack[:60])
    press(browser, "Write")

    fetched: list[str] = browser.execute_script(
        "return performance.getEntriesByType('resource').map(entry => entry.name)"
    )
    assert "onerror" in browser.find_element(By.TAG_NAME, "h1").text
    assert browser.title != "run"
    assert [address for address in fetched if not address.startswith(bases["alice"])] == []
    assert browser.get_log("browser") == []


EDIT_ELSEWHERE = """
const [content, version, ...rest] = arguments;
const done = rest.pop();
const entry = rest[0] ?? location.pathname;
const csrf = document.querySelector("[name=csrf]").value;
const body = new URLSearchParams({csrf, content, expected_version: version});
fetch(`${entry}/edit`, {method: "POST", body}).then(answer => done(answer.status));
"""


def test_what_changes_elsewhere_shows_without_reloading_and_takes_nothing_from_the_reader(
    browser: Chrome, bases: dict[str, str]
) -> None:
    browser.get(f"{bases['alice']}/write")
    fill(browser, title="Watched", content="As it was.")
    press(browser, "Write")
    wait_for(browser, "//*[@id='following' and not(@hidden)]")
    page = browser.find_element(By.TAG_NAME, "html")
    browser.find_element(By.XPATH, "//summary[.='Details']").send_keys(Keys.ENTER)
    note = browser.find_element(By.NAME, "note")
    note.click()

    assert browser.execute_async_script(EDIT_ELSEWHERE, "As it is.", 1) == 200
    wait_for(browser, "//div[@class='content'][contains(., 'As it is.')]")
    assert browser.switch_to.active_element == note
    assert browser.find_elements(By.CSS_SELECTOR, "details[open]")

    note.send_keys("typed")
    assert browser.execute_async_script(EDIT_ELSEWHERE, "As it will be.", 2) == 200
    wait_for(browser, "//p[@id='changed']")
    assert page.is_enabled(), "it is the same page still"
    assert "As it is." in text_of(browser)
    assert note.get_attribute("value") == "typed"


WRITE_ELSEWHERE = """
const [base, tag, done] = arguments;
fetch(`${base}/write`).then(answer => answer.text()).then(html => {
  const page = new DOMParser().parseFromString(html, "text/html");
  const body = new URLSearchParams(new FormData(page.querySelector("main form")));
  body.set("content", "Written elsewhere.");
  body.set("tags", tag);
  return fetch(`${base}/write`, {method: "POST", body});
}).then(answer => done(answer.status));
"""


def test_what_is_written_elsewhere_shows_in_lists_without_reloading(
    browser: Chrome, bases: dict[str, str]
) -> None:
    alice = bases["alice"]
    for path, tag in (("/", "on-the-timeline"), ("/tags", "on-tags")):
        browser.get(f"{alice}{path}")
        wait_for(browser, "//*[@id='following' and not(@hidden)]")
        page = browser.find_element(By.TAG_NAME, "html")

        assert browser.execute_async_script(WRITE_ELSEWHERE, alice, tag) == 200
        wait_for(browser, f"//main//a[contains(., '{tag}')]")
        assert page.is_enabled(), "it is the same page still"


def test_what_was_typed_stays_where_the_browser_or_the_server_filled_it_in_again(
    browser: Chrome, bases: dict[str, str]
) -> None:
    browser.get(f"{bases['alice']}/write")
    fill(browser, title="Typed", content="As it was.")
    press(browser, "Write")
    entry = browser.current_url.partition("?")[0]
    follow(browser, "Edit")
    form = browser.current_url
    browser.find_element(By.NAME, "title").send_keys(" and more")
    browser.get(f"{bases['alice']}/tags")
    browser.back()
    wait_for(browser, "//*[@id='following' and not(@hidden)]")

    assert browser.execute_async_script(EDIT_ELSEWHERE, "As it is.", 1, entry) == 200
    wait_for(browser, "//p[@id='changed']")
    assert browser.find_element(By.NAME, "title").get_attribute("value") == "Typed and more"

    press(browser, "Save")  # It was changed meanwhile, so it comes back.
    assert browser.current_url == form
    wait_for(browser, "//*[@id='following' and not(@hidden)]")
    assert browser.execute_async_script(EDIT_ELSEWHERE, "As it will be.", 2, entry) == 200
    wait_for(browser, "//p[@id='changed']")
    assert browser.find_element(By.NAME, "title").get_attribute("value") == "Typed and more"


def test_axe_finds_nothing_serious_on_any_page(browser: Chrome, bases: dict[str, str]) -> None:
    alice = bases["alice"]
    browser.get(f"{alice}/write")
    fill(browser, title="Look at me", content="# One\n\n| a | b |\n|---|---|\n| c | d |\n\n"
         "```\nx = 1\n```\n\n> quoted [link](https://example.org)", tags="seen")  # fmt: skip
    press(browser, "Write")
    entry = browser.current_url.partition("?")[0].removeprefix(alice)
    browser.get(f"{alice}{entry}/edit")
    fill(browser, content="# Two\n\nOther words.")
    press(browser, "Save")

    paths = ["/", "/shared", "/search", "/search?query=look", "/tags", "/status", "/write",
             "/diaries", "/diary", "/activity", "/audit", entry, f"{entry}/edit", f"{entry}/delete",
             f"{entry}/compare", "/entries/none"]  # fmt: skip
    # What the others show in the light stands on these as well.
    in_the_light = {"/search?query=look", "/status", "/write", "/activity", entry}
    size = browser.get_window_size()
    found: list[tuple[str, str, str]] = []
    for path in paths:
        browser.get(f"{alice}{path}")
        for scheme, width in (("light", size["width"]), ("dark", _PHONE[0])):
            if scheme == "light" and path not in in_the_light:
                continue
            # A window is not made so narrow.
            screen = {"width": width, "height": _PHONE[1], "deviceScaleFactor": 1}
            browser.execute_cdp_cmd(
                "Emulation.setDeviceMetricsOverride", {**screen, "mobile": scheme == "dark"}
            )
            media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
            browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
            found += [(scheme, path, each) for each in violations(browser)]
            assert width_of(browser) <= width, path
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})

    assert found == []


def width_of(browser: Chrome) -> int:
    """How wide the page is: who has less of a screen has to scroll sideways."""
    found: int = browser.execute_script("return document.documentElement.scrollWidth")
    return found


def test_the_keyboard_reaches_the_content_and_every_page(
    browser: Chrome, bases: dict[str, str]
) -> None:
    browser.get(f"{bases['alice']}/tags")
    reached: list[str] = []
    for _ in range(11):
        browser.switch_to.active_element.send_keys(Keys.TAB)
        focused = browser.switch_to.active_element
        reached.append(focused.text or str(focused.get_attribute("name")))

    assert reached == [
        "Skip to the content", "Timeline", "Write", "Diaries", "Shared with me", "Activity", "Tags",
        "Audit", "Status", "query", "Search",
    ]  # fmt: skip


def test_rows_and_permissions_are_compared_when_that_is_asked(
    browser: Chrome, bases: dict[str, str]
) -> None:
    browser.get(f"{bases['alice']}/status")
    assert "not compared" in text_of(browser)

    follow(browser, "Compare all entries with the permissions, too")
    assert browser.find_element(By.XPATH, "//dt[.='Drift']/following-sibling::dd").text == "0"


def test_the_page_is_dark_where_the_reader_wants_that(
    browser: Chrome, bases: dict[str, str]
) -> None:
    colours: list[str] = []
    for scheme in ("light", "dark"):
        media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
        browser.get(bases["alice"])
        html = browser.find_element(By.TAG_NAME, "html")
        colours.append(html.value_of_css_property("background-color"))

    assert len(set(colours)) == 2
