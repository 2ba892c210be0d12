"""What an agent does over MCP, done by a person: `diary-mcp write`, `show`, `list` and the rest."""

import json
import shlex
import sys
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from diary_mcp.domain.errors import NotFoundError
from support.clients import environment
from support.commands import Done, run_command
from support.sites import own_database

Run = Callable[..., Done]
HOSTILE = "a\x1b]0;title\x07b\x9b31m\u202ec\r\nsecond\tline \u00e9\u2713"


@pytest.fixture(scope="module")
def database(postgres_url: str) -> Generator[str]:
    with own_database(postgres_url) as url:
        yield url


@pytest.fixture(scope="module")
def added_agent(database: str) -> str:
    """The name of an agent that exists and has nothing written."""
    run_command("agent", "add", "added", settings=environment(database_url=database))
    return "added"


@pytest.fixture
def run(database: str, request: pytest.FixtureRequest) -> Run:
    """A command of an agent that has nothing written yet."""
    agent = request.node.name.split("[")[0].replace("_", "-")[-60:].strip("-")
    settings = environment(agent=agent, database_url=database)

    def run_as(*words: str, stdin: bytes | str = "", **more: str) -> Done:
        return run_command(*words, settings=settings | more, stdin=stdin)

    return run_as


def test_what_is_written_is_shown_listed_and_found(run: Run) -> None:
    piped = run("write", "--title", "Cache", "--tag", "db", "--tags", "speed", stdin="Use Redis.\n")
    named = run("write", "Kept to the letter", "--key", "k", "--type", "decision")

    assert (piped.status, piped.err) == (0, "")
    shown = json.loads(run("show", piped.out.strip(), "--json").out)
    assert (shown["content"], shown["tags"]) == ("Use Redis.\n", ["db", "speed"])
    assert run("show", "k").out.endswith("\n\nKept to the letter\n")
    listed = json.loads(run("list", "--json", "--types", "note").out)
    assert [entry["title"] for entry in listed["entries"]] == ["Cache"]
    assert named.out.strip() in run("list").out
    found = json.loads(run("search", "redis", "--json").out)
    assert [hit["id"] for hit in found["hits"]] == [piped.out.strip()]
    assert run("tags").out.split() == ["1", "db", "1", "speed"]
    assert "Kept to the letter" in run("context").out


def test_an_entry_supersedes_several(run: Run) -> None:
    run("write", "one", "--key", "a")
    run("write", "two", "--key", "b")

    run("write", "both", "--key", "c", "--supersedes", "a", "--supersedes", "b")

    assert len(json.loads(run("show", "c", "--json").out)["supersedes"]) == 2


@pytest.mark.parametrize("words", ["list", "search x", "show x", "tags", "context"])
def test_reading_as_an_agent_that_does_not_exist_names_those_that_are_close(
    run: Run, words: str
) -> None:
    run("agent", "add", "deborah")

    done = run(*words.split(), DIARY_MCP_AGENT="debora")

    assert (done.status, done.out) == (1, "")
    assert done.err.startswith("not_found: There is no agent 'debora'. Close to it: deborah")


@pytest.mark.parametrize("words", ["verify", "export DIR", "diary list"])
def test_nothing_is_checked_or_written_for_an_agent_that_does_not_exist(
    run: Run, tmp_path: Path, words: str
) -> None:
    run("agent", "add", "deborah")

    with pytest.raises(NotFoundError, match="Close to it: deborah"):
        run(*words.replace("DIR", str(tmp_path / "out")).split(), DIARY_MCP_AGENT="debora")

    assert list(tmp_path.iterdir()) == []


def test_an_agent_that_wrote_nothing_reads_where_nobody_has_written(postgres_url: str) -> None:
    with own_database(postgres_url) as url:
        done = run_command("list", settings=environment(agent="first", database_url=url))

    assert (done.status, done.err) == (0, "No entries.\n")


def test_json_is_the_result_of_the_tool(run: Run) -> None:
    created = json.loads(run("write", "x", "--importance", "0.9", "--json").out)

    assert created.keys() - {"sharing"} == {"id", "version", "date", "signature"}
    assert json.loads(run("delete", created["id"], "--yes", "--json").out) == {
        "entry_id": created["id"],
        "deleted": True,
    }
    assert json.loads(run("list", "--json").out) == {"entries": []}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("delete", "nothing", "--yes"), "not_found: No entry 'nothing'"),
        (("show", "nothing"), "not_found: "),
        (("delete", "nothing"), "invalid_argument: Deleting is for good: give --yes"),
        (("write", "x", "--importance", "2"), "invalid_argument: importance "),
        (("write", "x", "--importance", "high"), "invalid_argument: importance "),
        (("write", "x", "--type", "thought"), "invalid_argument: type "),
        (("write",), "invalid_argument: content "),
        (("list", "--limit", "0"), "invalid_argument: limit "),
        (("list", "--cursor", "x"), "invalid_argument: "),
        (("search", " ", "--mode", "guess"), "invalid_argument: mode "),
        (("share", "nothing"), "invalid_argument: --with is required"),
    ],
    ids=" ".join,
)
def test_what_cannot_be_done_is_told_by_its_code(
    run: Run, added_agent: str, words: tuple[str, ...], told: str
) -> None:
    done = run(*words, DIARY_MCP_AGENT=added_agent)

    assert (done.status, done.out) == (1, "")
    assert done.err.startswith(told)


def test_input_that_is_not_utf_8_is_refused_and_nothing_is_written(run: Run) -> None:
    done = run("write", stdin=b"caf\xe9")

    assert (done.status, done.out) == (1, "")
    assert done.err.startswith("invalid_argument: content ")
    assert run("list").out == ""


def test_nothing_that_an_entry_says_reaches_the_terminal_as_a_command(run: Run) -> None:
    written = run("write", HOSTILE, "--title", HOSTILE[:5], "--tag", HOSTILE[:5], "--key", "k")
    again = run("write", HOSTILE, "--key", "again")

    told = [written, again, *(run(*words) for words in (["show", "k"], ["list"], ["tags"]))]
    told += [run("search", "second"), run("context"), run("show", HOSTILE)]

    printed = "".join(done.out + done.err for done in told)
    assert not set(printed) & set("\x1b\x07\x9b\u202e\r")
    assert "\\x1b]0;title\\x07b\\x9b31m\\u202ec\nsecond\tline é✓" in told[2].out
    assert json.loads(run("show", "k", "--json").out)["content"] == HOSTILE


def test_a_changed_entry_is_not_changed_once_more_unseen(run: Run) -> None:
    run("write", "one", "--key", "k")

    changed = run("edit", "k", "--content", "two", "--tag", "t")
    refused = run("edit", "k", "--content", "three", "--expected-version", "1")

    assert (changed.status, changed.out.split()[1:]) == (0, ["version", "2"])
    assert (refused.status, refused.err.partition(":")[0]) == (1, "conflict")
    assert json.loads(run("show", "k", "--json").out)["content"] == "two"


def editor(folder: Path, script: str) -> str:
    """An editor that does this to the `text` of the file `path`."""
    program = folder / "editor.py"
    program.write_text(
        "import pathlib, sys\n"
        "path = pathlib.Path(sys.argv[1])\n"
        "text = path.read_bytes().decode()\n"
        f"{script}\n",
        "utf-8",
    )
    return shlex.join([sys.executable, str(program)])


def test_an_entry_is_edited_to_the_character(run: Run, tmp_path: Path) -> None:
    long = "x" * 30_000 + "\r\nend"
    run("write", "--key", "k", stdin=long)
    adds_a_word = editor(tmp_path, "path.write_bytes((text + ' here\\n').encode())")

    edited = run("edit", "k", EDITOR=adds_a_word)
    unchanged = run("edit", "k", EDITOR=editor(tmp_path, ""))

    assert edited.status == 0
    assert unchanged.err == "Nothing was changed.\n"
    assert run("show", "k").out.endswith("xxx\nend here\n")
    assert json.loads(run("show", "k", "--from", "30000", "--json").out)["content"] == (
        "\r\nend here"
    )


def test_what_was_edited_is_kept_where_the_entry_was_changed_meanwhile(
    run: Run, tmp_path: Path
) -> None:
    run("write", "one", "--key", "k")
    run("edit", "k", "--content", "two")

    writes = editor(tmp_path, "path.write_text('mine')")
    refused = run("edit", "k", "--expected-version", "1", EDITOR=writes)

    assert refused.status == 1
    assert refused.err.startswith("conflict: ")
    kept = Path(refused.err.splitlines()[-1].removeprefix("What you wrote is kept in "))
    assert kept.read_text("utf-8") == "mine"
    kept.unlink()


def test_an_entry_that_was_emptied_in_the_editor_is_left_and_told_how_to_delete_it(
    run: Run, tmp_path: Path
) -> None:
    run("write", "one", "--key", "k")

    emptied = run("edit", "k", EDITOR=editor(tmp_path, "path.write_text(' \\n')"))

    assert emptied.status == 1
    assert emptied.err == (
        "invalid_argument: Nothing is left of the text, so nothing was changed. To delete the "
        "entry, use `diary-mcp delete k`.\n"
    )
    assert json.loads(run("show", "k", "--json").out)["content"] == "one"


def test_without_a_terminal_and_an_editor_an_edit_says_how_else(run: Run) -> None:
    run("write", "one", "--key", "k")

    refused = run("edit", "k", EDITOR="", VISUAL="")

    assert refused.status == 1
    assert refused.err == (
        "invalid_argument: There is no terminal to edit in: give --content, or set EDITOR.\n"
    )


def test_a_share_is_settled_before_the_command_ends(run: Run) -> None:
    run("agent", "add", "bob")
    run("write", "for bob", "--key", "k")

    shared = run("share", "k", "--with", "bob", "--json")
    theirs = run("list", "--scope", "shared", "--json", DIARY_MCP_AGENT="bob")
    ended = run("unshare", "k", "--with", "bob")

    assert json.loads(shared.out)["with"] == "bob"
    assert len(json.loads(theirs.out)["entries"]) == 1
    assert (ended.status, ended.out[:9]) == (0, "unshared ")
    assert json.loads(run("status", "--json").out)["pending"] == 0


def test_what_is_written_without_a_session_gets_that_of_the_setting(run: Run) -> None:
    run("write", "x", "--key", "k", DIARY_MCP_SESSION="s-1")
    run("write", "y", "--key", "l")

    assert json.loads(run("show", "k", "--json").out)["session"] == "s-1"
    assert "session" not in json.loads(run("show", "l", "--json").out)
