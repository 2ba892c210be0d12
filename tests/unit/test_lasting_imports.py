"""What is imported to stay is not looked through for garbage; everything else is, as ever."""

import gc
import sys
from importlib import import_module
from pathlib import Path

import pytest

from diary_mcp.lasting_imports import lasting_imports


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
