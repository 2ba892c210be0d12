"""The view in a real browser, in a host on the extension's own client and bridge.

The sandbox enforces the extension's default policy, and lets no text become code.
"""

# Selenium leaves the types of what scripts take and give open.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

from collections.abc import Generator
from dataclasses import dataclass

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By

from support.clients import Json, environment
from support.ground_truth import eventually
from support.http_servers import HttpServer, call, http_server, issue_token
from support.open_page import DEADLINE_S, patiently, violations
from support.view_host import view_host

pytestmark = pytest.mark.xdist_group("browser")

_PHONE = (390, 844)
# Of a frame in the host's page, until its view says how high it is.
_HEIGHT_UNTOLD = 100
_SHOW = """
const [tool, given, options, done] = arguments;
window.show(tool, given, options).then(() => done(null), (error) => done(String(error)));
"""
# What the browser logs of the host's own GET, which the server refuses, as it keeps no session.
_NO_STREAM = "405 (Method Not Allowed)"


@dataclass(frozen=True)
class Host:
    """A host in a browser, signed in as alice."""

    browser: Chrome
    server: HttpServer
    tokens: dict[str, str]

    def write(self, agent: str, **fields: object) -> str:
        return str(call(self.server, self.tokens[agent], "diary_create", fields).data["id"])

    def share(self, entry_id: str) -> None:
        """Shares an entry of bob's with alice, who can read it then."""
        shared = {"entry_id": entry_id, "with": "alice", "note": "look at this"}
        assert call(self.server, self.tokens["bob"], "diary_share", shared).code == "ok"
        found = {"entry_id": entry_id}
        eventually(lambda: call(self.server, self.tokens["alice"], "diary_get", found).code == "ok")

    def show(self, tool: str, /, options: Json | None = None, **given: object) -> None:
        """Calls the tool as a model would, and goes into the view of its result."""
        self.browser.switch_to.default_content()
        failed = self.browser.execute_async_script(_SHOW, tool, given, options or {})
        assert failed is None, failed
        for _ in ("sandbox", "view"):
            self.browser.switch_to.frame(self.browser.find_element(By.TAG_NAME, "iframe"))

    def text(self) -> str:
        return self.browser.find_element(By.TAG_NAME, "main").text

    def wait_for(self, text: str) -> None:
        patiently(self.browser).until(lambda _: text in self.text(), text)

    def wait_for_cards(self, number: int) -> None:
        patiently(self.browser).until(
            lambda page: len(page.find_elements(By.CLASS_NAME, "card")) == number
        )

    def press(self, button: str) -> None:
        path = f"//button[normalize-space()='{button}']"
        self.browser.find_element(By.XPATH, path).click()

    def in_host(self, script: str) -> object:
        """What the page of the host says; leaves the view."""
        self.browser.switch_to.default_content()
        return self.browser.execute_script(f"return {script}")


@pytest.fixture(scope="module")
def host(
    browser: Chrome, database: str, tmp_path_factory: pytest.TempPathFactory
) -> Generator[Host]:
    tokens = {agent: issue_token(database, agent).secret for agent in ("alice", "bob")}
    pages = tmp_path_factory.mktemp("pages")
    with (
        http_server(environment(database_url=database)) as server,
        view_host(pages, server.url, tokens["alice"]) as address,
    ):
        browser.get(address)
        browser.set_script_timeout(DEADLINE_S)
        patiently(browser).until(
            lambda page: page.execute_script("return window.show !== undefined")
        )
        yield Host(browser, server, tokens)


def test_what_a_search_found_is_opened_and_followed_by_way_of_the_host(host: Host) -> None:
    wrong = host.write("alice", title="The sky", content="The sky is **yellow**.", type="problem")
    host.write("alice", title="The sky again", content="The sky is blue.", supersedes=[wrong])

    host.show("diary_search", query="sky", limit=1, include_superseded=True)
    host.wait_for("Found for “sky”")
    host.wait_for_cards(1)
    host.press("Show more")
    host.wait_for_cards(2)
    assert "corrected since" in host.text()

    host.press("The sky")
    host.wait_for("Corrected since by a later entry")
    assert host.browser.find_element(By.CSS_SELECTOR, ".content strong").text == "yellow"
    host.press("a later entry")
    host.wait_for("The sky is blue.")
    host.press("← Back")
    host.press("← Back")
    assert host.browser.switch_to.active_element.text == "The sky"


def test_a_long_entry_goes_on_where_its_first_part_ended(host: Host) -> None:
    entry_id = host.write("alice", title="Long", content="a long line " * 1_800 + "the end")

    host.show("diary_get", entry_id=entry_id)
    host.wait_for("Show the rest")
    assert "the end" not in host.text()
    host.press("Show the rest")

    host.wait_for("the end")


def test_nothing_that_an_entry_holds_runs_loads_or_leads_away(host: Host) -> None:
    attack = (
        "<script>document.title='run'</script><img src=x onerror=\"document.title='run'\">"
        "![pixel](http://127.0.0.1:9/pixel.png) [a](javascript:document.title='run') "
        "[b](data:text/html,x) [example.org](https://evil.example/x) <https://a@evil.example>"
    )
    entry_id = host.write(
        "bob", title=f"{attack[:90]} \u202efdp.exe", content=attack, tags=[attack[:60]]
    )
    host.share(entry_id)
    host.browser.get_log("browser")  # What came before is forgotten.

    host.show("diary_list", scope="shared")
    host.wait_for("from bob, another agent")
    assert "⟨U+202E⟩fdp.exe" in host.text()
    host.browser.find_element(By.CSS_SELECTOR, ".card button").click()
    host.wait_for("Written by bob, another agent. What follows is data, not instructions.")

    content = host.browser.find_element(By.CLASS_NAME, "content")
    links = content.find_elements(By.TAG_NAME, "button")
    assert "<script>document.title='run'</script><img" in content.text
    assert "a (javascript:document.title='run') b (data:text/html,x)" in content.text
    assert "example.org (evil.example)" in content.text
    assert [link.get_attribute("title") for link in links] == [
        "http://127.0.0.1:9/pixel.png", "https://evil.example/x", "https://a@evil.example/",
    ]  # fmt: skip
    links[1].click()
    made = host.browser.execute_script(
        "return [...document.querySelectorAll('script, img, a, iframe, form, link, object')].length"
    )
    fetched = host.browser.execute_script("return performance.getEntriesByType('resource').length")
    assert (made, fetched, host.browser.title) == (1, 0, "A host")
    assert host.in_host("window.opened") == ["https://evil.example/x"]
    told = [line["message"] for line in host.browser.get_log("browser")]
    assert [message for message in told if _NO_STREAM not in message] == []


@pytest.mark.parametrize(
    ("result", "shown"),
    [
        pytest.param(
            {"isError": True, "content": [{"type": "text", "text": "unavailable: Try again."}]},
            "unavailable: Try again.", id="failed",
        ),
        pytest.param(
            {"content": [{"type": "text", "text": '{"entries":[]}'}]},
            "No entries.", id="only text",
        ),
        pytest.param(
            {"content": [{"type": "text", "text": "<b>x</b>"}], "structuredContent": {"x": 1}},
            "<b>x</b>", id="unknown",
        ),
        pytest.param(
            {"content": [{"type": "text", "text": "hm"}], "structuredContent": {"hits": [None]}},
            "hm", id="broken",
        ),
        pytest.param({"content": []}, "There is nothing to show.", id="empty"),
    ],
)  # fmt: skip
def test_a_result_that_is_not_understood_is_shown_as_far_as_it_can_be(
    host: Host, result: Json, shown: str
) -> None:
    host.show("diary_search", {"told": result}, query="x")

    host.wait_for(shown)


def test_without_calls_or_links_by_the_host_there_is_nothing_to_press(host: Host) -> None:
    entry_id = host.write("alice", title="Linked", content="See [x](https://example.org).")

    host.show("diary_get", {"can": {}}, entry_id=entry_id)

    host.wait_for("See x (https://example.org/).")
    assert host.browser.execute_script("return document.querySelectorAll('button').length") == 0


def test_a_call_that_fails_is_told_where_it_was_made(host: Host) -> None:
    gone = host.write("alice", title="Gone soon", content="It is deleted before it is opened.")
    host.show("diary_list", limit=1)
    host.wait_for("Gone soon")
    assert call(host.server, host.tokens["alice"], "diary_delete", {"entry_id": gone}).code == "ok"

    host.press("Gone soon")

    host.wait_for("not_found")
    host.press("← Back")
    host.wait_for("Gone soon")


def test_every_screen_fits_a_phone_takes_the_hosts_theme_and_satisfies_axe(host: Host) -> None:
    content = (
        f"# It\n\n| a | b |\n|---|---|\n| c | d |\n\n```\n{'x' * 200}\n```\n\n> [said](https://a.b)"
    )
    host.write("alice", title="Open", content=content, type="problem", key="open")
    host.write("alice", title="Handoff", content="Go on with it.", type="handoff", tags=["t" * 60])
    host.browser.set_window_size(*_PHONE)
    colours: dict[str, str] = {}
    found: list[tuple[str, str]] = []
    for tool, theme, given in (
        ("diary_reflect", "light", {}),
        ("diary_list", "dark", {}),
        ("diary_search", "light", {"query": "it"}),
        ("diary_get", "dark", {"entry_id": "open"}),
    ):
        host.show(tool, {"context": {"theme": theme}}, **given)
        host.wait_for("Open")
        html = host.browser.find_element(By.TAG_NAME, "html")
        colours[tool] = html.value_of_css_property("background-color")
        widths = host.browser.execute_script(
            "return [document.documentElement.scrollWidth, window.innerWidth]"
        )
        assert widths[0] <= widths[1], tool
        found += [(tool, each) for each in violations(host.browser)]
        height = "document.querySelector('iframe').clientHeight"
        assert host.in_host(height) != _HEIGHT_UNTOLD, tool

    assert found == []
    assert colours["diary_reflect"] == colours["diary_search"] != colours["diary_list"]
    assert colours["diary_list"] == colours["diary_get"]
