"""`pyproject.toml` declares what the package imports."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

from support.paths import ROOT, TESTS

SOURCE = ROOT / "src" / "diary_mcp"
WRITTEN = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
DECLARED: list[str] = [
    *WRITTEN["project"]["dependencies"],
    *(each for extra in WRITTEN["project"]["optional-dependencies"].values() for each in extra),
]
OF_DEVELOPMENT = [each for each in WRITTEN["dependency-groups"]["dev"] if isinstance(each, str)]
OURS = {"diary_mcp", "support"}
DISTRIBUTIONS = packages_distributions()


def plain(requirement: str) -> str:
    """The name of a distribution, in the one form that all of its spellings have."""
    name = re.split(r"[\s\[<>=!~;]", requirement, maxsplit=1)[0]
    return re.sub(r"[-_.]+", "-", name).lower()


def imports_of(file: Path) -> set[str]:
    """The modules that a file imports, wherever in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {each.name for each in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


def imported_in(folder: Path) -> dict[str, set[str]]:
    """What others made: each top-level package, with the distributions that may have brought it."""
    modules = set[str]().union(*(imports_of(file) for file in folder.rglob("*.py")))
    tops = {module.split(".")[0] for module in modules} - sys.stdlib_module_names - OURS
    return {top: {plain(name) for name in DISTRIBUTIONS.get(top, [top])} for top in tops}


def test_what_the_package_imports_is_declared() -> None:
    imported, declared = imported_in(SOURCE), {plain(each) for each in DECLARED}

    assert {top: names for top, names in imported.items() if not names & declared} == {}


def test_what_the_tests_import_is_declared() -> None:
    imported, declared = imported_in(TESTS), {plain(each) for each in [*DECLARED, *OF_DEVELOPMENT]}

    assert {top: names for top, names in imported.items() if not names & declared} == {}
