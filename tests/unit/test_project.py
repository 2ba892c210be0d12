"""The project that a folder belongs to, as `DIARY_MCP_DIARY=auto` names it; Git is not asked."""

import re
from pathlib import Path

import pytest

from diary_mcp.domain.fields import NAME_PATTERN
from diary_mcp.project import as_diary_name, name_project

ORIGIN = '[core]\n\tbare = false\n[remote "origin"]\n\turl = {}\n\tfetch = +refs/heads/*\n'


def repository(top: Path, configuration: str = "[core]\n\tbare = false\n") -> Path:
    """A repository as Git makes it, as far as it matters."""
    (top / ".git").mkdir(parents=True)
    (top / ".git" / "HEAD").write_text("ref: refs/heads/main\n", "utf-8")
    (top / ".git" / "config").write_text(configuration, "utf-8")
    return top


def working_tree(of: Path, folder: Path) -> Path:
    """What `git worktree add` makes."""
    gitdir = of / ".git" / "worktrees" / folder.name
    gitdir.mkdir(parents=True)
    (gitdir / "commondir").write_text("../..\n", "utf-8")
    (gitdir / "HEAD").write_text("ref: refs/heads/other\n", "utf-8")
    folder.mkdir(parents=True)
    (folder / ".git").write_text(f"gitdir: {gitdir}\n", "utf-8")
    return folder


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("git@github.com:owner/Project.git", "project"),
        ("https://github.com/owner/project", "project"),
        ("https://user:secret@host:8443/owner/project.git/", "project"),
        ("ssh://git@host:22/~owner/my%20project.git", "my-project"),
        ("host:project.git", "project"),
        ("/srv/git/project.git", "project"),
        ("../project/.git", "project"),
        ("C:\\\\code\\\\project", "project"),
        ('"https://host/a#b/project.git" # mirror', "project"),
        ("https://host/project.git ; mirror", "project"),
        ("https://host/team/project.js", "project.js"),
    ],
    ids=str,
)
def test_a_repository_is_named_after_its_remote(tmp_path: Path, url: str, name: str) -> None:
    top = repository(tmp_path / "clone", ORIGIN.format(url))
    (top / "src" / "deep").mkdir(parents=True)

    assert name_project(top) == name
    assert name_project(top / "src" / "deep") == name


def test_origin_comes_before_other_remotes_and_those_before_the_folder(tmp_path: Path) -> None:
    other = '[remote "fork"]\n\turl = https://host/me/fork.git\n'

    both = repository(tmp_path / "both", other + ORIGIN.format("https://host/project.git"))
    one = repository(tmp_path / "one", other)
    none = repository(tmp_path / "none", '[branch "main"]\n\tremote = origin\n\turl = nonsense\n')

    assert [name_project(each) for each in (both, one, none)] == ["project", "fork", "none"]


def test_linked_working_trees_are_the_project_of_the_first(tmp_path: Path) -> None:
    with_remote = repository(tmp_path / "a", ORIGIN.format("https://host/project.git"))
    without = repository(tmp_path / "app")

    linked = working_tree(with_remote, tmp_path / "feature")
    other = working_tree(without, tmp_path / "elsewhere" / "hotfix")

    assert (name_project(linked), name_project(other)) == ("project", "app")


def test_working_trees_beside_a_hidden_repository_are_one_project(tmp_path: Path) -> None:
    project = tmp_path / "app"
    (project / ".bare").mkdir(parents=True)
    (project / ".bare" / "config").write_text("[core]\n\tbare = true\n", "utf-8")
    (project / ".git").write_text("gitdir: ./.bare\n", "utf-8")
    gitdir = project / ".bare" / "worktrees" / "main"
    gitdir.mkdir(parents=True)
    (gitdir / "commondir").write_text("../..\n", "utf-8")
    (project / "main").mkdir()
    (project / "main" / ".git").write_text(f"gitdir: {gitdir}\n", "utf-8")

    assert (name_project(project), name_project(project / "main")) == ("app", "app")


def test_a_submodule_is_a_project_of_its_own(tmp_path: Path) -> None:
    top = repository(tmp_path / "app", ORIGIN.format("https://host/app.git"))
    module = top / ".git" / "modules" / "lib"
    module.mkdir(parents=True)
    (module / "config").write_text(ORIGIN.format("https://host/library.git"), "utf-8")
    (top / "lib").mkdir()
    (top / "lib" / ".git").write_text("gitdir: ../.git/modules/lib\n", "utf-8")

    assert (name_project(top), name_project(top / "lib")) == ("app", "library")


def test_a_folder_outside_a_repository_has_its_own_name(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "broken" / ".git").mkdir(parents=True)
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / ".git").write_bytes(b"\xff\x00 nonsense")

    names = {each: name_project(tmp_path / each) for each in ("notes", "broken", "odd", "missing")}

    assert names == {each: each for each in names}
    assert name_project(Path("/")) == "main"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Project", "project"),
        ("  My Great_Project! ", "my-great_project"),
        (".dotfiles", "dotfiles"),
        ("Café", "cafe"),
        ("a/b", "a-b"),
        ("-._", "main"),
        ("", "main"),
    ],
    ids=repr,
)
def test_any_text_becomes_the_name_of_a_diary(text: str, name: str) -> None:
    assert as_diary_name(text) == name


def test_projects_whose_names_cannot_be_spelled_are_told_apart() -> None:
    names = [as_diary_name(text) for text in ("проект-a", "другой-a", "日本", "x" * 64, "x" * 65)]

    assert len(set(names)) == len(names)
    assert all(re.fullmatch(NAME_PATTERN, name) for name in names)
    assert names[3] == "x" * 64
