"""`diary-mcp open` as a child, and a real browser that looks at it."""

# Selenium leaves the types of what scripts take and give open.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

import os
import shutil
import signal
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

from support.clients import COMMAND, environment


@contextmanager
def opened(
    database: str,
    *flags: str,
    agent: str = "alice",
    data_dir: Path | None = None,
    browser: str = "",
) -> Generator[str]:
    """The link that is printed; Ctrl-C ends the process in order."""
    settings = environment(agent=agent, database_url=database, data_dir=data_dir)
    with subprocess.Popen(
        [COMMAND, "open", *flags],
        env={**settings, "BROWSER": browser},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip()
            process.send_signal(signal.SIGINT)
            _, told = process.communicate(timeout=30)
            assert process.returncode == 128 + signal.SIGINT
            assert "Traceback" not in told
        finally:
            process.kill()


@contextmanager
def chromium(profile: Path, *flags: str) -> Generator[Chrome]:
    """Chromium without a screen; skips the test, saying why, where there is none."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    driver = shutil.which("chromedriver")
    if program is None or driver is None:
        pytest.skip("Chromium and its driver are not installed (Debian: chromium chromium-driver)")
    options = ChromeOptions()
    options.binary_location = program
    for flag in ("--headless=new", "--disable-dev-shm-usage", f"--user-data-dir={profile}", *flags):
        options.add_argument(flag)
    if os.geteuid() == 0:
        options.add_argument("--no-sandbox")
    with Chrome(options, Service(driver)) as browser:
        browser.implicitly_wait(10)
        yield browser
