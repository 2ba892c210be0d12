"""What is imported to stay is not looked through for garbage, nor takes along what nobody needs."""

import gc
import sys
from importlib import import_module
from pathlib import Path

import pytest

from diary_mcp.lasting_imports import (
    import_parts_alone,
    importing_without,
    lasting_imports,
)


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "stays_for_long.py").write_text("kept = [[]]\n", "utf-8")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.delitem(sys.modules, "stays_for_long", raising=False)
    return "stays_for_long"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    inner = tmp_path / "takes_much" / "inner"
    inner.mkdir(parents=True)
    inner.with_name("__init__.py").write_text("from takes_much import much\n", "utf-8")
    inner.with_name("much.py").write_text("weight = 1\n", "utf-8")
    (inner / "__init__.py").write_text("from takes_much import much\n", "utf-8")
    (inner / "light.py").write_text("weight = 0\n", "utf-8")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    for name in ("takes_much", "takes_much.much", "takes_much.inner", "takes_much.inner.light"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return "takes_much"


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


def test_a_part_of_a_package_is_imported_without_what_the_package_takes_along(package: str) -> None:
    import_parts_alone(package, f"{package}.inner")

    light = import_module(f"{package}.inner.light")

    assert light.weight == 0
    assert f"{package}.much" not in sys.modules


def test_a_package_is_whole_as_soon_as_one_of_its_names_is_asked_for(package: str) -> None:
    import_parts_alone(package, f"{package}.inner")

    inner = import_module(package).inner

    assert f"{package}.much" not in sys.modules
    assert inner.much.weight == 1
    with pytest.raises(AttributeError):
        inner.nothing_of_the_kind  # noqa: B018  # asking is the test


def test_a_package_that_is_whole_already_stays_as_it_is(package: str) -> None:
    whole = import_module(package)

    import_parts_alone(package)

    assert sys.modules[package] is whole
    assert whole.much.weight == 1
