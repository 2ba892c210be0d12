"""`diary-mcp open` as a child, and a real browser that looks at it."""

# Selenium leaves the types of what scripts take and give open.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.support.ui import WebDriverWait

from support.clients import environment
from support.fork_server import StartCommand, start_command
from support.node_tools import AXE

DEADLINE_S = 20
# What is kept for going back, and ahead for the next page, is a third of the work of a page.
_FLAGS = (
    "--headless=new",
    "--disable-dev-shm-usage",
    "--disable-features=BackForwardCache,SpareRendererForSitePerProcess",
)
_LOOK = """
const done = arguments[0];
axe.run(document, {preload: false, resultTypes: ["violations"]})
    .then(done, error => done({error: String(error)}));
"""


@contextmanager
def opened(
    database: str,
    *flags: str,
    agent: str = "alice",
    data_dir: Path | None = None,
    browser: str = "",
    start: StartCommand = start_command,
) -> Generator[str]:
    """The link that is printed; Ctrl-C ends the process in order."""
    settings = environment(agent=agent, database_url=database, data_dir=data_dir)
    with tempfile.TemporaryFile() as stderr:
        process = start(
            *("open", *flags),
            env={**settings, "BROWSER": browser},
            stdout=subprocess.PIPE,
            stderr=stderr,
        )
        try:
            assert process.stdout is not None
            with process.stdout:
                yield process.stdout.readline().decode().strip()
                process.send_signal(signal.SIGINT)
                status = process.wait(30)
            said = os.pread(stderr.fileno(), 1 << 24, 0)
            assert status == 128 + signal.SIGINT, (status, said)
            assert b"Traceback" not in said, said
        finally:
            process.kill()
            process.wait()


@contextmanager
def open_chromium(profile: Path) -> Generator[Chrome]:
    """Chromium without a screen; skips the test, saying why, where there is none."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    driver = shutil.which("chromedriver")
    if program is None or driver is None:
        pytest.skip("Chromium and its driver are not installed (Debian: chromium chromium-driver)")
    options = ChromeOptions()
    options.binary_location = program
    for flag in (*_FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    if os.geteuid() == 0:
        options.add_argument("--no-sandbox")
    with Chrome(options, Service(driver)) as browser:
        browser.implicitly_wait(10)
        yield browser


def patiently(browser: Chrome) -> WebDriverWait[Chrome]:
    """What waits until something is there, and looks often."""
    return WebDriverWait(browser, DEADLINE_S, poll_frequency=0.05)


def violations(browser: Chrome) -> list[str]:
    """What axe calls serious or critical, each with where it is."""
    if not browser.execute_script("return 'axe' in window"):
        browser.execute_script(AXE.file("axe.min.js").read_text("utf-8"))
    result: dict[str, Any] = browser.execute_async_script(_LOOK)
    assert "error" not in result, result
    return [
        f"{each['id']}: {each['nodes'][0]['html']}"
        for each in result["violations"]
        if each["impact"] in {"serious", "critical"}
    ]
