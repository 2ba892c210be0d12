"""The work that writes leave behind: workflows, and what is to be indexed."""

import time
from pathlib import Path

import click
import psycopg

LONGEST_S = 600
_LOOK_S = 0.5

_WAITING = """\
select (select count(*) from dbos.workflow_status where status in ('ENQUEUED', 'PENDING'))
    + (select count(*) from diary.search_document where words_by is null or vectors_by is null)
"""


def find_database(home: Path) -> str:
    """The URL of the PostgreSQL that a server below `home` has started."""
    (pid_file,) = home.rglob("postmaster.pid")
    lines = pid_file.read_text("utf-8").splitlines()
    return f"host={lines[4]} port={lines[3]} user=diary dbname=diary"


def wait_for_work(home: Path, *, longest_s: float = LONGEST_S) -> None:
    """Until no workflow waits, and no entry for its words and its vectors."""
    deadline = time.monotonic() + longest_s
    with psycopg.connect(find_database(home), autocommit=True) as connection:
        while time.monotonic() < deadline:
            if connection.execute(_WAITING).fetchone() == (0,):
                return
            time.sleep(_LOOK_S)
    raise click.ClickException("the work behind the writes was not done in time")
