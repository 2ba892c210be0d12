"""A server whose database cannot be had: it lives, says what is wrong, and goes on by itself."""

from pathlib import Path

import pytest

from support.clients import RawClient, environment, raw_client
from support.fork_server import complete_command
from support.ground_truth import eventually
from support.sites import embedded_url

pytestmark = pytest.mark.xdist_group("without-database")


def assert_it_lives_and_tells(client: RawClient, *words: str) -> None:
    """Every tool says `unavailable` and why; what needs no database works."""
    assert client.initialized()["serverInfo"]["name"] == "diary-mcp"
    tools = client.request("tools/list").result(30)["tools"]
    assert tools
    for _ in range(2):
        for tool in ("diary_whoami", "diary_create", "diary_list"):
            arguments = {"content": "x"} if tool == "diary_create" else {}
            answer = client.call(tool, **arguments)
            assert answer.code == "unavailable"
            for word in words:
                assert word in answer.text
    assert client.process.poll() is None
    assert client.noise == []


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("postgresql://diary@127.0.0.1:1/diary", "127.0.0.1"),
        ("postgresql://diary@/diary?host=/nowhere/at/all", "/nowhere/at/all"),
        ("postgresql://diary@127.0.0.1:99999/diary", "99999"),
        ("postgresql://diary@127.0.0.1/diary?nonsense=1", "query parameter"),
    ],
    ids=["refused", "no socket", "no such port", "unknown parameter"],
)
def test_an_unreachable_database_is_named(url: str, word: str) -> None:
    with raw_client(environment(database_url=url)) as client:
        assert_it_lives_and_tells(client, word)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://diary:secret@127.0.0.1:1/diary",
        "postgresql://diary:%zzsecret@127.0.0.1/diary",
        "postgresql://diary:my secret@127.0.0.1/diary",
        'postgresql://diary:"secret"%00@127.0.0.1/diary',
    ],
)
def test_no_password_is_told_or_logged(url: str) -> None:
    with raw_client(environment(database_url=url)) as client:
        answer = client.call("diary_whoami")

        assert answer.code == "unavailable"
        assert "secret" not in answer.text
        assert "secret" not in client.stderr()


def test_a_database_that_does_not_exist_is_named(postgres_url: str) -> None:
    url = postgres_url.replace("/diary?", "/no_such_database?")
    with raw_client(environment(database_url=url)) as client:
        assert_it_lives_and_tells(client, "no_such_database")


def test_a_server_works_as_soon_as_its_database_comes_up(tmp_path: Path) -> None:
    with raw_client(environment(database_url=embedded_url(tmp_path))) as client:
        assert_it_lives_and_tells(client, str(tmp_path))

        with raw_client(environment(agent="bob", data_dir=tmp_path)) as bob:
            bob.wait_until_up()
            eventually(lambda: client.call("diary_whoami").code == "ok")
            entry = client.create()
            eventually(
                lambda: client.call("diary_get", entry_id=entry["id"]).data.get("sharing") is None
            )


@pytest.mark.parametrize(
    "url",
    [
        "mysql://localhost/diary",
        "nonsense",
        "postgresql:/x",
        "postgresql://diary:secret@[::1/diary",
    ],
)
def test_what_is_no_database_url_ends_the_command_at_once(url: str) -> None:
    ended = complete_command("serve", env=environment(database_url=url))

    assert ended.returncode != 0
    assert ended.stdout == ""
    assert "DIARY_MCP_DATABASE_URL" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert "secret" not in ended.stderr


def test_a_database_that_cannot_be_reached_is_told_with_the_setting_that_names_it() -> None:
    url = "postgresql://nobody:sesame@127.0.0.1:1/diary"
    ended = complete_command("migrate", env=environment(database_url=url))

    assert (ended.returncode, ended.stdout) == (1, "")
    assert "Make sure that it runs" in ended.stderr
    assert "DIARY_MCP_DATABASE_URL" in ended.stderr
    assert "sesame" not in ended.stderr


@pytest.mark.parametrize("name", ["Bob", "a b", "-x", "b" * 65, "ü"])
def test_what_is_no_agent_name_ends_the_command_at_once(tmp_path: Path, name: str) -> None:
    ended = complete_command("serve", env=environment(agent=name, data_dir=tmp_path))

    assert ended.returncode != 0
    assert "DIARY_MCP_AGENT" in ended.stderr
    assert "beginning with a letter or a digit" in ended.stderr
    assert "Traceback" not in ended.stderr


# What else is wrong with one: tests/integration/postgres/test_problems.py.
def test_a_data_directory_that_is_a_file_is_named(tmp_path: Path) -> None:
    data_dir = tmp_path / "file"
    data_dir.write_text("not a directory", "utf-8")

    with raw_client(environment(data_dir=data_dir)) as client:
        assert_it_lives_and_tells(client, str(data_dir), "DIARY_MCP_DATA_DIR")
