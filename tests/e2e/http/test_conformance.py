"""The official conformance suite, against the server over HTTP."""

import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import pytest

from support.clients import environment
from support.http_servers import HttpServer, http_server
from support.node_tools import CONFORMANCE
from support.paths import TESTS

# Or the other one would wait for as long as its tool is installed.
pytestmark = pytest.mark.xdist_group("conformance")

_BASELINE = Path(__file__).with_name("conformance_baseline.yml")


@pytest.fixture
def server(database: str) -> Generator[HttpServer]:
    with http_server(environment(database_url=database), "--no-auth") as started:
        yield started.wait_until_ready()


@pytest.fixture
def port_of_fixtures(database: str) -> Generator[int]:
    """The port of a server from the same factory, with what the suite asks for by name."""
    process = subprocess.Popen(
        [sys.executable, "-m", "support.conformance_server", database],
        cwd=TESTS,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.communicate()


def test_only_scenarios_that_need_fixtures_fail(server: HttpServer, tmp_path: Path) -> None:
    _, port = server.address

    done = CONFORMANCE.run(
        "server", "--url", f"http://localhost:{port}/mcp", "--suite", "all",
        "--expected-failures", _BASELINE, "-o", tmp_path,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout[-3_000:] + done.stderr[-1_000:]
    assert "✓ server-initialize: 1 passed, 0 failed" in done.stdout
    assert "✓ completion-complete: 1 passed, 0 failed" in done.stdout
    assert "✓ dns-rebinding-protection: 2 passed, 0 failed" in done.stdout


def test_with_the_fixtures_every_scenario_passes(port_of_fixtures: int, tmp_path: Path) -> None:
    url = f"http://localhost:{port_of_fixtures}/mcp"

    done = CONFORMANCE.run("server", "--url", url, "--suite", "all", "-o", tmp_path)

    assert done.returncode == 0, done.stdout[-3_000:] + done.stderr[-1_000:]
    assert "Total: 44 passed, 0 failed" in done.stdout
