"""Imports of what a process keeps to its end."""

import gc
import sys
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from importlib.util import find_spec, module_from_spec
from threading import RLock
from types import ModuleType
from typing import cast


@contextmanager
def lasting_imports() -> Generator[None]:
    """Looks for no garbage in what the block imports, neither meanwhile nor later.

    Nearly all of it stays. Looking through it takes a tenth of a start, and now and then a tenth of
    a second in which no call is answered.
    """
    known = len(sys.modules)
    gc.disable()
    try:
        yield
    finally:
        if len(sys.modules) > known:
            gc.freeze()
        gc.enable()


@contextmanager
def importing_without(package: str) -> Generator[None]:
    """Has what the block imports do as if the package were not installed.

    For what takes it along where it is there, and does without it where it is not.
    """
    modules = cast("dict[str, ModuleType | None]", sys.modules)
    if package in modules:
        yield
        return
    modules[package] = None
    try:
        yield
    finally:
        del modules[package]


def import_parts_alone(*packages: str) -> None:
    """Lets modules of these packages be imported without what their `__init__` takes along.

    An `__init__` runs as soon as anybody asks for one of its names. A package that was imported
    before stays as it is; one within another comes after that.
    """
    for name in packages:
        if name in sys.modules or (spec := find_spec(name)) is None:
            continue
        package = module_from_spec(spec)
        package.__dict__["__getattr__"] = partial(_run_init, package, RLock())
        sys.modules[name] = package
        parent, _, own_name = name.rpartition(".")
        if parent:
            setattr(sys.modules[parent], own_name, package)


def _run_init(
    package: ModuleType, one_at_a_time: AbstractContextManager[object], name: str
) -> object:
    with one_at_a_time:
        spec = package.__spec__
        if package.__dict__.pop("__getattr__", None) is not None and spec and spec.loader:
            spec.loader.exec_module(package)
    return getattr(package, name)
