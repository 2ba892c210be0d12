"""The look at an installed DBOS, before it reads a row."""

import sys
from types import ModuleType

import pytest

from diary_mcp.workflows.json_rows import read_rows_as_json


class _Importing(ModuleType):
    """While it is looked at, another module comes, as another thread imports it."""

    @property
    def pickle(self) -> None:
        sys.modules["dbos_test_came_meanwhile"] = ModuleType("dbos_test_came_meanwhile")


def test_what_is_imported_during_the_look_does_not_end_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dbos.test_importing", _Importing("dbos.test_importing"))
    try:
        read_rows_as_json()
    finally:
        sys.modules.pop("dbos_test_came_meanwhile", None)

    assert "dbos_test_came_meanwhile" not in sys.modules
