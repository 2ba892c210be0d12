"""PostgreSQL is there, and connected, and says nothing any more."""

import signal
import time
from collections.abc import Generator

import pytest

from support.clients import environment, raw_client
from support.postgres_proxy import PostgresProxy, postgres_proxy
from support.sites import own_database

# What closing may take, and a machine that others use too.
LIMIT_S = 10


@pytest.fixture
def proxy(postgres_url: str) -> Generator[PostgresProxy]:
    with own_database(postgres_url) as url, postgres_proxy(url) as opened:
        yield opened


def test_a_server_ends_within_seconds_with_a_call_in_flight_that_has_no_answer(
    proxy: PostgresProxy,
) -> None:
    with (
        raw_client(environment(database_url=proxy.url)) as hung_up,
        raw_client(environment(database_url=proxy.url)) as terminated,
    ):
        servers = (hung_up, terminated)
        for server in servers:
            server.create()
        proxy.silence()
        for server in servers:
            server.start_call("diary_create", content="Lost on the way.")
            server.request("tools/list").result(30)

        started = time.monotonic()
        hung_up.hang_up()
        terminated.process.terminate()
        statuses = [server.wait() for server in servers]

        assert time.monotonic() - started < LIMIT_S
        assert statuses == [0, 128 + signal.SIGTERM]
