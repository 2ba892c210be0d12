"""`diary-mcp open`: a link that signs in, on this machine, for this user alone."""

import time
from contextlib import suppress
from pathlib import Path

import httpx

from support.fork_server import execute_command
from support.html_pages import HtmlPage
from support.open_page import opened


def command_lines() -> list[str]:
    """What any user of this machine sees of every process."""
    lines: list[str] = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # It has ended meanwhile.
            lines.append(path.read_bytes().decode("utf-8", "replace"))
    return lines


def test_the_link_signs_in_and_is_in_no_process_list(database: str) -> None:
    with (
        opened(database, "--no-browser", start=execute_command) as link,
        httpx.Client(verify=False) as browser,
    ):
        address, _, secret = link.partition("?link=")
        signing_in = browser.get(link)
        timeline = browser.get(address.removesuffix("sign-in"))

        assert link.startswith("http://127.0.0.1:")
        assert (signing_in.status_code, timeline.status_code) == (200, 200)
        assert "Diary of alice" in HtmlPage(timeline.text).text
        assert httpx.get(link, verify=False).status_code == 403
        assert [line for line in command_lines() if secret in line] == []


def test_the_browser_is_led_by_a_file_that_nobody_else_reads(database: str, tmp_path: Path) -> None:
    told = tmp_path / "told"
    program = tmp_path / "browser"
    program.write_text(f'#!/bin/sh\nls -ld "$(dirname "${{1#file://}}")" > {told}.new\n'
                       f'echo "$1" >> {told}.new\ncat "${{1#file://}}" >> {told}.new\n'
                       f'mv {told}.new {told}\n'
                       f'while [ ! -e {told}.seen ]; do sleep 0.05; done\n')  # fmt: skip
    program.chmod(0o700)

    with opened(database, browser=f"{program} %s") as link:
        deadline = time.monotonic() + 30
        while not told.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        folder, argument, page = told.read_text("utf-8").split("\n", 2)
        # The browser is in the terminal, and reads from the one that started it.
        shown = httpx.get(link, verify=False)
        told.with_name("told.seen").touch()

    assert shown.status_code == 200
    assert folder.startswith("drwx------")
    assert argument.startswith("file://")
    assert link.partition("link=")[2] not in argument
    assert link in page
    assert not Path(argument.removeprefix("file://")).exists()
