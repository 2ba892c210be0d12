"""The official conformance suite, against the server over HTTP."""

from collections.abc import Generator
from pathlib import Path

import pytest

from support.clients import environment
from support.http_servers import HttpServer, http_server
from support.node_tools import CONFORMANCE
from support.sites import own_database

_BASELINE = Path(__file__).with_name("conformance_baseline.yml")


@pytest.fixture(scope="module")
def server(postgres_url: str) -> Generator[HttpServer]:
    with (
        own_database(postgres_url) as url,
        http_server(environment(database_url=url), "--no-auth") as started,
    ):
        yield started.wait_until_ready()


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
