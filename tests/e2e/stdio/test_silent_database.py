"""PostgreSQL is there, and connected, and says nothing any more."""

import time
from collections.abc import Generator

import pytest

from support.clients import RawClient, environment, raw_client
from support.postgres_proxy import PostgresProxy, postgres_proxy
from support.sites import own_database

# What closing may take, and a machine that others use too.
LIMIT_S = 10


@pytest.fixture
def proxy(postgres_url: str) -> Generator[PostgresProxy]:
    with own_database(postgres_url) as url, postgres_proxy(url) as opened:
        yield opened


@pytest.fixture
def server(proxy: PostgresProxy) -> Generator[RawClient]:
    with raw_client(environment(database_url=proxy.url)) as client:
        yield client.wait_until_up()


@pytest.mark.parametrize("ending", ["stdin", "SIGTERM"])
def test_a_server_ends_within_seconds_with_a_call_in_flight_that_has_no_answer(
    proxy: PostgresProxy, server: RawClient, ending: str
) -> None:
    server.create()
    proxy.silence()
    server.start_call("diary_create", content="Lost on the way.")
    server.request("tools/list").result(30)

    started = time.monotonic()
    if ending == "stdin":
        server.hang_up()
    else:
        server.process.terminate()
    status = server.wait()

    assert time.monotonic() - started < LIMIT_S
    assert status == (0 if ending == "stdin" else 128 + 15)
