"""Pictures of the page for people: a scratch diary of two agents, headless Chromium, small files.

python benchmarks/page_pictures.py [--to docs/pictures]
"""

# Selenium leaves the types of what scripts take and give open.
# pyright: reportUnknownMemberType=false

import argparse
import io
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio
from PIL import Image
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

from diary_mcp.app import open_foundation, settle_beside_queue
from diary_mcp.domain.entry import EntryChanges, EntryDraft
from diary_mcp.domain.fields import AgentName, Grantee
from diary_mcp.service.diary import Diary
from diary_mcp.settings import Settings

_COMMAND = str(Path(sys.executable).with_name("diary-mcp"))
_ALICE, _BOB = AgentName("claude"), AgentName("codex")
_DESK, _TALL, _PHONE = (1100, 760), (1100, 1180), (390, 844)
_COLOURS = 128
_DAYS = 330
_PATIENCE_S = 240


@dataclass(frozen=True)
class Picture:
    name: str
    path: str
    scheme: str
    size: tuple[int, int]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--to", type=Path, default=Path("docs/pictures"))
    folder: Path = options.parse_args().to
    with TemporaryDirectory(prefix="diary-pictures-") as scratch:
        settings = Settings(agent=_ALICE, data_dir=Path(scratch) / "diary")
        entry = anyio.run(_fill, settings)
        with _opened(settings) as link, _chromium(Path(scratch) / "profile") as browser:
            browser.get(link)
            base = link.partition("/sign-in")[0]
            _wait_for_embeddings(browser, base)
            for picture in _pictures(entry):
                _take(browser, base, picture, folder)


def _wait_for_embeddings(browser: Chrome, base: str) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    browser.get(f"{base}/search?query=checkout")
    while "Without an embedding yet" in browser.page_source and time.monotonic() < deadline:
        time.sleep(1)
        browser.refresh()


def _pictures(entry: str) -> Sequence[Picture]:
    return [
        Picture("page-timeline", "/?diary=webshop", "light", _DESK),
        Picture("page-entry", f"/entries/{entry}", "light", _TALL),
        Picture("page-activity", "/activity", "dark", _DESK),
        Picture("page-search", "/search?query=why+is+checkout+slow", "dark", _DESK),
        Picture("page-diaries", "/diary?name=webshop", "light", _DESK),
        Picture("page-phone", "/?diary=webshop", "dark", _PHONE),
    ]


def _take(browser: Chrome, base: str, picture: Picture, folder: Path) -> None:
    width, height = picture.size
    browser.execute_cdp_cmd(
        "Emulation.setEmulatedMedia",
        {"features": [{"name": "prefers-color-scheme", "value": picture.scheme}]},
    )
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": height, "deviceScaleFactor": 1.5, "mobile": width < height},
    )
    browser.get(base + picture.path)
    shot = Image.open(io.BytesIO(browser.get_screenshot_as_png())).convert("RGB")
    path = folder / f"{picture.name}.png"
    # The dots of the types are small, and keep their colours so.
    shot.quantize(_COLOURS, Image.Quantize.MAXCOVERAGE).save(path, optimize=True)
    print(f"{path}: {path.stat().st_size >> 10} KiB")


@contextmanager
def _opened(settings: Settings) -> Generator[str]:
    """The link that `diary-mcp open` prints."""
    environment = {
        **os.environ,
        "DIARY_MCP_AGENT": settings.agent,
        "DIARY_MCP_DATA_DIR": str(settings.data_dir),
    }
    with subprocess.Popen(
        [_COMMAND, "open", "--no-browser"], env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(timeout=30)


@contextmanager
def _chromium(profile: Path) -> Generator[Chrome]:
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    driver = shutil.which("chromedriver")
    if program is None or driver is None:
        sys.exit("Chromium and its driver are not installed (Debian: chromium chromium-driver)")
    options = ChromeOptions()
    options.binary_location = program
    for flag in ("--headless=new", "--disable-dev-shm-usage", "--hide-scrollbars"):
        options.add_argument(flag)
    options.add_argument(f"--user-data-dir={profile}")
    if os.geteuid() == 0:
        options.add_argument("--no-sandbox")
    with Chrome(options, Service(driver)) as browser:
        yield browser


async def _fill(settings: Settings) -> str:
    """Writes what the pictures show; the id of the entry that one of them is of."""
    async with (
        open_foundation(settings, with_keys=True) as foundation,
        settle_beside_queue(foundation),
    ):
        diary = foundation.diary
        for agent in (_ALICE, _BOB):
            await diary.agents.register(agent)
        for name in ("webshop", "infrastructure"):
            await diary.diaries.open(_ALICE, name)
        await diary.diaries.share(
            _ALICE, "webshop", Grantee(_BOB), role="writer", note="You do the front end."
        )
        await _write_past(diary)
        entry = await _write_today(diary)
        with anyio.fail_after(_PATIENCE_S):
            while (await foundation.settlements.count_backlog()).pending:  # noqa: ASYNC110  # of a settling beside
                await anyio.sleep(0.1)
        return entry


async def _write_past(diary: Diary) -> None:
    """A year of days, some busy and some not; the same with every run."""
    randomly = random.Random(7)
    now = datetime.now(UTC)
    problem: str | None = None
    saturday = 5
    for days in range(_DAYS, 1, -1):
        day = now - timedelta(days=days)
        busy = 0.2 if day.weekday() >= saturday else 0.62
        for _ in range(randomly.choice((1, 1, 2, 3, 5)) if randomly.random() < busy else 0):
            kind, text = randomly.choice(_PAST)
            supersedes = [problem] if problem and kind == "progress" else []
            draft = EntryDraft.model_validate(
                {
                    "content": f"{text}.",
                    "title": text,
                    "type": kind,
                    "date": day - timedelta(hours=9 * randomly.random()),
                    "supersedes": supersedes,
                    "diary": randomly.choice(("webshop", "webshop", "infrastructure")),
                }
            )
            written = await diary.entries.create(_ALICE, draft)
            problem = None if supersedes else problem
            if kind == "problem":
                problem = str(written.id)


async def _write_today(diary: Diary) -> str:
    now = datetime.now(UTC)

    async def write(hours: float, **fields: object) -> str:
        draft = {"date": now - timedelta(hours=hours), "diary": "webshop", **fields}
        return str((await diary.entries.create(_ALICE, EntryDraft.model_validate(draft))).id)

    slow = await write(
        49,
        title="Checkout takes nine seconds under load",
        type="problem",
        importance=0.8,
        tags=["checkout", "performance"],
        content="p95 went from 0.8 s to **9 s** since Tuesday's release. Only with more than one "
        "item in the basket.",
    )
    guess = await write(
        30,
        title="The card provider is slow",
        type="discovery",
        tags=["checkout"],
        supersedes=[slow],
        content="Their status page tells of delays; ours began at the same hour.",
    )
    await diary.entries.create(
        _ALICE,
        EntryDraft.model_validate(
            {
                "content": "TLS certificates are renewed by the proxy; nobody has to do it by hand "
                "any more.",
                "title": "Certificates renew themselves",
                "type": "decision",
                "tags": ["tls", "operations"],
                "date": now - timedelta(hours=27),
                "diary": "infrastructure",
            }
        ),
    )
    await _write_of_another(diary, now)
    entry = await write(
        5,
        title="Checkout is slow because stock is checked item by item",
        type="correction",
        importance=0.9,
        tags=["checkout", "performance", "database"],
        supersedes=[guess],
        content=_FOUND,
    )
    found = await diary.entries.get(_ALICE, entry)
    await diary.entries.update(
        _ALICE, entry, found.version, EntryChanges(content=_FOUND + _MEASURED)
    )
    await diary.sharing.share(_ALICE, entry, Grantee(_BOB), note="This is what I meant.")
    await write(
        4,
        title="One statement for the stock of a whole basket",
        type="decision",
        tags=["checkout", "database"],
        content="`select … where sku = any($1)` in place of a statement for each item: one round "
        "trip, one plan. A cache would have been wrong for up to a minute, which sells what is "
        "not there.",
    )
    await write(
        0.5,
        title="Next: roll it out to ten percent",
        type="handoff",
        tags=["checkout"],
        content="The fix is merged behind the flag `batched_stock`. Turn it on for 10 %, watch p95 "
        "for an hour, then for all.",
    )
    return entry


async def _write_of_another(diary: Diary, now: datetime) -> None:
    """What the other agent writes, in the diary that it was given."""
    for hours, title, kind, content, tags in _OF_ANOTHER:
        draft = {"title": title, "type": kind, "content": content, "tags": tags}
        where = {"date": now - timedelta(hours=hours), "diary": f"{_ALICE}/webshop"}
        await diary.entries.create(_BOB, EntryDraft.model_validate({**draft, **where}))


_OF_ANOTHER = (
    (
        26,
        "The basket shows prices before the discount",
        "problem",
        (
            "Only after a reload; the sum below is right. The badge reads the price that was kept "
            "when the item was added."
        ),
        ["basket", "front end"],
    ),
    (
        3,
        "The button waits until stock is known",
        "progress",
        (
            "Checkout can be pressed once the one statement has answered, and says what it waits "
            "for. Tested with the network at **3G**."
        ),
        ["checkout", "front end"],
    ),
)
_FOUND = """\
It is **not** the card provider. With their sandbox the time is the same.

Each basket item asks for its stock in a statement of its own:

```sql
select available from stock where sku = $1;  -- once for each item
```

- 30 items are 30 round trips
- each waits behind the lock of the nightly import
"""
_MEASURED = "\nMeasured on staging: 30 items, **8.7 s**; with one statement for all, **0.3 s**.\n"
_PAST = (
    ("note", "Read the report of last night's run"),
    ("note", "Asked for access to the staging bucket"),
    ("progress", "Search results are paged by cursor"),
    ("progress", "Moved the basket to its own table"),
    ("progress", "Images are resized when they are uploaded"),
    ("progress", "The import runs in batches of a thousand"),
    ("discovery", "The mobile client retries without a key"),
    ("discovery", "Half of the queries come from one page"),
    ("problem", "Orders are counted twice after a retry"),
    ("problem", "The nightly import locks the stock table"),
    ("decision", "Prices are kept in cents, not as decimals"),
    ("decision", "One database for each country"),
    ("reflection", "Smaller releases would have shown this earlier"),
    ("handoff", "Next: the filter by size"),
)

if __name__ == "__main__":
    main()
