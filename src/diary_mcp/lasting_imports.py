"""Imports of what a process keeps to its end."""

import gc
import sys
from collections.abc import Generator
from contextlib import contextmanager
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
