"""Two stdio servers, for two agents, on one data directory: how MCP clients start them."""

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.clients import RawClient, environment, raw_client
from support.ground_truth import check_promise, eventually
from support.postgres_users import server_processes_of
from support.sites import embedded_url

pytestmark = pytest.mark.xdist_group("two-agents")


@dataclass(frozen=True)
class Home:
    """A data directory and the two servers that were started on it at once."""

    data_dir: Path
    alice: RawClient
    bob: RawClient


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Generator[Home]:
    data_dir = tmp_path_factory.mktemp("home") / "made by the first"
    with (
        raw_client(environment(agent="alice", data_dir=data_dir)) as alice,
        raw_client(environment(agent="bob", data_dir=data_dir)) as bob,
    ):
        yield Home(data_dir, alice.wait_until_up(), bob.wait_until_up())


def test_they_share_one_database(home: Home) -> None:
    postmasters = {
        process.pid for process in server_processes_of(home.data_dir) if "-D" in process.cmdline()
    }

    assert len(postmasters) == 1
    assert home.alice.call("diary_whoami").data["backends"] == {
        "database": "embedded",
        "permissions": "embedded",
    }


def test_each_sees_what_the_other_shares_and_nothing_else(home: Home) -> None:
    shared = home.alice.create("for bob", tags=["shared"])
    private = home.alice.create("for nobody", tags=["private"])

    home.alice.call("diary_share", entry_id=shared["id"], with_="bob")

    eventually(lambda: home.bob.call("diary_get", entry_id=shared["id"]).code == "ok")
    read = home.bob.call("diary_get", entry_id=shared["id"]).data
    assert (read["content"], read["owner"], read["role"]) == ("for bob", "alice", "viewer")
    listed = home.bob.call("diary_list", scope="all").data["entries"]
    assert [entry["id"] for entry in listed if entry.get("owner") == "alice"] == [shared["id"]]
    assert home.bob.call("diary_get", entry_id=private["id"]).code == "not_found"


def test_a_viewer_reads_nothing_once_unshare_returned(home: Home) -> None:
    entry = home.alice.create()
    for _ in range(2):
        home.alice.call("diary_share", entry_id=entry["id"], with_="bob")
        eventually(lambda: home.bob.call("diary_get", entry_id=entry["id"]).code == "ok")

        unshared = home.alice.call("diary_unshare", entry_id=entry["id"], with_="bob")

        assert unshared.code == "ok"
        assert home.bob.call("diary_get", entry_id=entry["id"]).code == "not_found"


def test_one_goes_on_when_the_other_is_killed(home: Home) -> None:
    with raw_client(environment(agent="cleo", data_dir=home.data_dir)) as cleo:
        entry = cleo.create("last words")
        assert cleo.call("diary_share", entry_id=entry["id"], with_="bob").code == "ok"
        cleo.kill()

    eventually(lambda: home.bob.call("diary_get", entry_id=entry["id"]).code == "ok")

    assert home.bob.call("diary_whoami").data["agent"] == "bob"
    check_promise(embedded_url(home.data_dir))
