"""What is left of a session without asking a model: branch, commits, and the files it changed."""

import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from diary_mcp.domain.fields import counted, printable
from diary_mcp.plugins.transcript import SessionWork

_TIMEOUT_S = 0.5
_REFLOG = ("reflog", "--format=%H%x09%gs", "-n", "500")
_MAKING = re.compile(r"commit|cherry-pick|revert|rebase.* \((?!start|finish)")
"""What Git notes where a commit is made here, also by moving it elsewhere."""

_MAX_COMMITS = 30
_MAX_FILES = 50
_MAX_TITLE = 200


@dataclass(frozen=True)
class SessionFacts:
    """Facts that anybody can check; none where the session changed nothing."""

    branch: str | None
    commits: Sequence[str]
    """Each with the beginning of its hash and its subject, the first one first."""

    files: Sequence[str]

    @property
    def title(self) -> str:
        on = "" if self.branch is None else f" on {self.branch}"
        told = f"{counted(len(self.commits), 'commit')}, {counted(len(self.files), 'file')} changed"
        return f"Session{on}: {told}"[:_MAX_TITLE]

    @property
    def content(self) -> str:
        lists = (
            ("Commits", self.commits, _MAX_COMMITS),
            ("Files changed", self.files, _MAX_FILES),
        )
        return "\n".join(_listed(*each) for each in lists if each[1])


def find_facts(folder: Path, work: SessionWork) -> SessionFacts:
    """What the session did in the repository that the folder is in, if it is in one."""
    files = [_within(path, folder) for path in work.changed_files]
    if work.began is None:
        return SessionFacts(None, (), files)
    branch = _ask_git(folder, "symbolic-ref", "--quiet", "--short", "HEAD")
    # Only what was committed here: what was fetched meanwhile is somebody else's.
    made = [line.split("\t", 1) for line in _ask_git(folder, *_REFLOG)]
    own = {line[0] for line in made if _MAKING.match(line[-1])}
    log = ("log", "--reverse", f"--since={work.began}", "--format=%H%x09%h %s", "-n", "500")
    commits = [line.split("\t", 1) for line in _ask_git(folder, *log)]
    told = [printable(each[1]) for each in commits if each[0] in own]
    return SessionFacts(printable(branch[0]) if branch else None, told, files)


def _ask_git(folder: Path, *words: str) -> Sequence[str]:
    """The lines of its answer; none where there is no Git, or no repository."""
    try:
        done = subprocess.run(  # noqa: S603  # our own words, and a time
            ["git", "-c", "log.showSignature=false", *words],  # noqa: S607  # the person's own
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ()
    lines = done.stdout.decode("utf-8", "replace").splitlines()
    return lines if done.returncode == 0 else ()


def _within(path: str, folder: Path) -> str:
    try:
        return printable(str(Path(path).relative_to(folder)))
    except ValueError:
        return printable(path)


def _listed(heading: str, items: Sequence[str], most: int) -> str:
    lines = [f"- {item}" for item in items[:most]]
    if len(items) > most:
        lines.append(f"- and {len(items) - most} more")
    return "\n".join([f"## {heading}", "", *lines, ""])
