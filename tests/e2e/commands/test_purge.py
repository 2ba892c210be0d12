"""Whoever reads the files of the embedded database looks for what was deleted."""

from pathlib import Path

from support.clients import environment, raw_client
from support.commands import run_command

MARK = b"zqzq"


def files_that_tell(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*") if path.is_file() and tells(path)}


def tells(path: Path) -> bool:
    try:
        return MARK in path.read_bytes()
    except FileNotFoundError:
        return False  # PostgreSQL works on.


def test_what_was_deleted_is_in_no_file_after_a_purge_and_servers_go_on(tmp_path: Path) -> None:
    settings = environment(data_dir=tmp_path)

    def run(*words: str) -> str:
        done = run_command(*words, settings=settings)
        assert done.status == 0, done.err
        return done.out

    with raw_client(settings) as server, raw_client(settings) as other:
        kept = server.create("What stays.")["id"]
        run("agent", "add", "bob")
        for number in range(3):
            server.create(
                "Told zqzqcontent. " * 300 * number + "zqzqword",
                title=f"zqzqtitle {number}",
                tags=["zqzqtag"],
                key=f"zqzqkey-{number}",
                author="zqzqauthor",
                session="zqzqsession",
            )
        for number in (1, 2):
            key = f"zqzqkey-{number}"
            other.call("diary_update", entry_id=key, expected_version=1, content="zqzqsecond")
            server.call("diary_share", entry_id=key, with_="bob", note=f"zqzqnote {number}")
        # The planner's statistics hold values too, also those of tables that are empty afterwards.
        run("purge")
        assert other.call("diary_search", query="zqzqsecond").data["hits"]
        for number in range(2):
            server.call("diary_delete", entry_id=f"zqzqkey-{number}")
        assert files_that_tell(tmp_path)

        run("delete", "zqzqkey-2", "--yes", "--purge")

        assert files_that_tell(tmp_path) == set()
        assert [each.call("diary_get", entry_id=kept).code for each in (server, other)] == [
            "ok"
        ] * 2
        assert server.call("diary_create", content="What comes.").data["signature"] == "signed"


def test_a_server_of_ones_own_is_not_purged_and_nothing_is_deleted_then(database: str) -> None:
    settings = environment(database_url=database)
    run_command("write", "What stays.", "--key", "k", settings=settings)

    refused = run_command("delete", "k", "--yes", "--purge", settings=settings)

    assert (refused.status, refused.out) == (1, "")
    assert refused.err.startswith("invalid_argument: Only the embedded database can be purged")
    assert run_command("show", "k", settings=settings).status == 0


def test_where_no_diary_was_made_there_is_nothing_to_purge(tmp_path: Path) -> None:
    done = run_command("purge", settings=environment(data_dir=tmp_path))

    assert (done.status, done.out) == (1, "")
    assert done.err.startswith("invalid_argument: There is no diary in ")
    assert list(tmp_path.iterdir()) == []
