"""What is imported to stay is not looked through for garbage, nor takes along what nobody needs."""

import gc
import sys
from importlib import import_module
from pathlib import Path

import pytest

from diary_mcp.lasting_imports import importing_without, lasting_imports


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "stays_for_long.py").write_text("kept = [[]]\n", "utf-8")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.delitem(sys.modules, "stays_for_long", raising=False)
    return "stays_for_long"


def test_what_was_imported_is_not_looked_through_any_more(module: str) -> None:
    with lasting_imports():
        assert not gc.isenabled()
        kept = import_module(module).kept

    assert gc.isenabled()
    assert not any(each is kept for each in gc.get_objects())


def test_where_nothing_is_imported_garbage_stays_garbage(module: str) -> None:
    import_module(module)
    with lasting_imports():
        import_module(module)
        made: list[object] = []

    assert any(each is made for each in gc.get_objects())


def test_garbage_is_looked_for_after_an_import_that_failed() -> None:
    with pytest.raises(ModuleNotFoundError), lasting_imports():
        import_module("nobody_has_written_this")

    assert gc.isenabled()


def test_a_package_that_is_to_be_left_out_is_missing_for_so_long(module: str) -> None:
    with importing_without(module), pytest.raises(ModuleNotFoundError):
        import_module(module)

    assert import_module(module).kept == [[]]


def test_a_package_that_is_there_already_stays(module: str) -> None:
    there = import_module(module)

    with importing_without(module):
        assert import_module(module) is there

    assert sys.modules[module] is there
