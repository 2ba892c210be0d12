"""A mutation that fails anywhere before its commit, over stdio: told, and as if never asked."""

from collections.abc import Generator
from uuid import uuid4

import pytest

from support.clients import Json
from support.failures import FAILURES, Failure, failing, read_everything
from support.ground_truth import ask, check_promise
from support.sites import Site, add_agents, site

pytestmark = pytest.mark.xdist_group("failed-mutations")


@pytest.fixture(scope="module")
def deployment(postgres_url: str) -> Generator[Site]:
    with site(postgres_url, "alice") as opened:
        add_agents(opened.url, "bob")
        opened.server().wait_until_up()
        yield opened


TOOLS: dict[str, Json] = {
    "diary_create": {"content": "never"},
    "diary_share": {"with": "bob"},
    "diary_unshare": {"with": "bob"},
    "diary_delete": {},
}


# Every mutation with every failure: tests/integration/store/test_atomicity.py.
@pytest.mark.parametrize(
    ("tool", "failure"),
    [
        *(("diary_create", failure) for failure in FAILURES),
        *((tool, "the commit fails") for tool in TOOLS if tool != "diary_create"),
    ],
)
def test_a_failure_before_the_commit_is_told_and_leaves_nothing(
    deployment: Site, tool: str, failure: Failure
) -> None:
    server, more = deployment.server(), TOOLS[tool]
    key, new_key = uuid4().hex, uuid4().hex
    if tool != "diary_create":
        server.create(key=key)
    if tool in {"diary_unshare", "diary_delete"}:
        server.call("diary_share", entry_id=key, with_="bob")
    check_promise(deployment.url)
    before = read_everything(deployment.url)
    names = {"key": new_key, "idempotency_key": new_key}
    arguments = more | (names if tool == "diary_create" else {"entry_id": key})

    with failing(deployment.url, failure):
        answer = server.call(tool, **arguments)

    assert answer.code == ("unavailable" if "lost" in failure else "internal")
    assert "made to fail" not in answer.text
    assert read_everything(deployment.url) == before
    assert server.process.poll() is None
    assert server.call(tool, **arguments).code == "ok"
    check_promise(deployment.url)


def test_a_row_that_postgresql_refuses_is_not_quoted_in_the_log(deployment: Site) -> None:
    server = deployment.server()
    ask(
        deployment.url,
        "alter table diary.entry add constraint no_cats check (content not like '%Ada%') not valid",
    )

    try:
        answer = server.call("diary_create", content="The cat's name is Ada.", title="Ada")
    finally:
        ask(deployment.url, "alter table diary.entry drop constraint no_cats")

    log = server.stderr()
    assert answer.code == "internal"
    assert "Ada" not in answer.text
    assert "psycopg.errors.CheckViolation (23514, no_cats, entry)" in log
    assert "Ada" not in log


def test_the_name_of_a_tool_that_is_not_there_is_not_in_the_log(deployment: Site) -> None:
    server = deployment.server()

    answer = server.call("The cat's name is Ada.")

    assert answer.code == "not_found"
    assert "Ada" not in server.stderr()
