"""What errors and notices of the diary say, read from its source."""

import ast
from collections.abc import Iterator

from support.paths import ROOT

PACKAGE = ROOT / "src" / "diary_mcp"


def texts_of_the_diary() -> Iterator[str]:
    """The texts in the service, the store and the domain, with `x` for what is put into them."""
    for folder in ("service", "store", "domain"):
        for path in sorted((PACKAGE / folder).rglob("*.py")):
            tree = ast.parse(path.read_text("utf-8"))
            told = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
            yield from (_text(node) for node in ast.walk(tree) if id(node) not in told)


def _text(node: ast.AST) -> str:
    match node:
        case ast.JoinedStr():
            return "".join(_text(each) or "x" for each in node.values)
        case ast.Constant(value=str(text)):
            return text
        case _:
            return ""
