"""What a server has imported before it answers `initialize`, and how it imports the rest."""

import json
import subprocess
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from support.clients import environment, raw_client
from support.fork_server import Stream

_CODE = """
import json, sys
import click
from diary_mcp.cli import command

command.get_command(click.Context(command), "serve")
print(json.dumps(list(sys.modules)))
"""
_SERVING = """
import json, sys
import click
from diary_mcp.cli import command

command.get_command(click.Context(command), "serve")
import diary_mcp.app
import diary_mcp.server.handlers

print(json.dumps(list(sys.modules)))
"""
_STARTING = """
import json, sys
import diary_mcp.serving.host
import diary_mcp.postgres.lease

print(json.dumps(list(sys.modules)))
"""
_MIGRATING = """
import json, sys
import diary_mcp.serving.host
import diary_mcp.migrating

print(json.dumps(list(sys.modules)))
"""
_SEARCHING = """
import json, sys
import diary_mcp.service.search.engine

print(json.dumps(list(sys.modules)))
"""
_BUILT = """
import json
import diary_mcp.server.handlers
from diary_mcp.domain.fields import Model

def models(base):
    return [base, *(model for each in base.__subclasses__() for model in models(each))]

print(json.dumps([model.__name__ for model in models(Model) if model.__pydantic_complete__]))
"""
_MEETING = """
import sys, threading
from diary_mcp.__main__ import main

class Meeting:
    begun, met = threading.Event(), threading.Event()

    def find_spec(self, name, path=None, target=None):
        if name == "diary_mcp.migrating":
            self.begun.wait(20)
        elif name == "psycopg._server_cursor_async" and not self.begun.is_set():
            self.begun.set()
            self.met.wait(3)
        elif name == "psycopg.types.json":
            self.met.set()

sys.meta_path.insert(0, Meeting())
main()
"""
_HASTE = """
import sys, threading
from importlib.machinery import PathFinder
from diary_mcp.__main__ import main

class Haste:
    begun = threading.Event()

    def find_spec(self, name, path=None, target=None):
        if name == "dbos":
            self.begun.set()
        elif name == "diary_mcp.keys.ed25519":
            spec = PathFinder.find_spec(name, path)
            execute = spec.loader.exec_module
            spec.loader.exec_module = lambda module: self.wait() or execute(module)
            return spec

    def wait(self):
        if self.begun.wait(0.5):
            raise RuntimeError("DBOS is imported while a call waits for its answer.")

sys.meta_path.insert(0, Haste())
main()
"""
_LATER = {
    "diary_mcp.app",
    "diary_mcp.domain.entry",
    "diary_mcp.server.handlers",
    "diary_mcp.service.diary",
    "dbos",
    "numpy",
    "psycopg",
}
_NEVER = {
    *("pydantic_settings", "pygments", "rich"),
    *("httpx2", "mcp.client", "mcp.server.mcpserver"),
}


def test_what_initialize_does_not_need_is_not_imported_before_it() -> None:
    imported = _printed_by(_CODE)

    assert "diary_mcp.serving.stdio" in imported
    assert imported & (_LATER | _NEVER) == set()


def test_what_nobody_needs_is_not_imported_with_the_rest_either() -> None:
    imported = _printed_by(_SERVING)

    assert {"diary_mcp.app", "diary_mcp.server.handlers"} <= imported
    assert imported & _NEVER == set()


def test_the_embedded_postgresql_is_started_before_the_rest_is_imported() -> None:
    imported = _printed_by(_STARTING)

    assert "diary_mcp.postgres.server" in imported
    assert imported & _LATER == set()


def test_the_database_is_migrated_before_the_rest_is_imported() -> None:
    imported = _printed_by(_MIGRATING)

    assert "diary_mcp.store.migrations" in imported
    assert imported & (_LATER - {"psycopg", "diary_mcp.domain.entry"}) == set()


def test_a_search_imports_of_numpy_only_what_it_uses() -> None:
    imported = _printed_by(_SEARCHING)

    assert "numpy" in imported
    assert "numpy.random" not in imported


def test_what_checks_arguments_and_shows_results_is_not_built_before_it_is_used() -> None:
    built = _printed_by(_BUILT)

    assert built & {"CreateArguments", "EntryDraft", "EntryResult", "Reflection"} == set()


def test_two_threads_that_import_the_driver_at_the_same_time_do_no_harm(tmp_path: Path) -> None:
    settings = environment(data_dir=tmp_path)
    with raw_client(settings) as first:
        first.wait_until_up()
        # PostgreSQL is there already: who asks it imports the driver while the rest is imported.
        with raw_client(settings, start=partial(_start, _MEETING)) as second:
            assert second.call("diary_whoami").data["agent"] == "local"


def test_workflows_of_a_session_before_do_not_compete_with_the_first_call(tmp_path: Path) -> None:
    settings = environment(data_dir=tmp_path)
    with raw_client(settings) as first:
        first.call("diary_create", content="Left behind for the next session.")

    with raw_client(settings, start=partial(_start, _HASTE)) as second:
        written = second.call("diary_create", content="This one waits for its answer.")

    assert not written.is_error


def _start(
    code: str,
    *words: str,
    env: Mapping[str, str],
    stdin: Stream = subprocess.DEVNULL,
    stdout: Stream = subprocess.DEVNULL,
    stderr: Stream = subprocess.DEVNULL,
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", code, *words],
        env=dict(env),
        start_new_session=True,
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
    )


def _printed_by(code: str) -> set[str]:
    printed = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, timeout=60
    ).stdout
    return set(json.loads(printed))
