"""Reads the permission rules of `diary.opl.ts`, which a real Keto runs too.

Only a subset of the Ory Permission Language is understood: relations of plain types and
`SubjectSet<...>`, and permits that are unions of `this.related.X.includes(ctx.subject)`. Anything
else is refused with its line, so that the embedded backend never decides otherwise than an Ory
Keto that runs the same file.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NoReturn

from diary_mcp.domain.errors import InvalidArgumentError
from diary_mcp.domain.rules import Membership
from diary_mcp.permissions.model import Namespace, PermissionModel
from diary_mcp.shipped import resource_path

_TOKEN = re.compile(
    r"""
      (?P<space> \s+ | //[^\n]* | /\*.*?\*/ )
    | (?P<word> [A-Za-z_]\w* )
    | (?P<text> "[^"\n]*" | '[^'\n]*' )
    | (?P<mark> \|\| | && | => | \S )
    """,
    re.VERBOSE | re.DOTALL,
)


def load_permission_model() -> PermissionModel:
    """The rules that ship with the program.

    Raises:
        InvalidArgumentError: the file uses what this reader does not know.
    """
    path = resource_path("opl") / "diary.opl.ts"
    return parse_opl(path.read_text("utf-8"))


def parse_opl(text: str) -> PermissionModel:
    """Reads one OPL file.

    Raises:
        InvalidArgumentError: something outside the subset, or a name that is not declared.
    """
    parser = _Parser(list(_tokens(text)))
    namespaces: dict[str, Namespace] = {}
    while not parser.at_end:
        if parser.at("import"):
            parser.skip_import()
            continue
        line = parser.line
        name, namespace = parser.read_class()
        if name in namespaces:
            _refuse(f"class {name} is declared twice", line)
        namespaces[name] = namespace
    parser.require_declared(namespaces)
    return PermissionModel(namespaces)


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    line: int


def _tokens(text: str) -> Iterator[_Token]:
    line = 1
    for match in _TOKEN.finditer(text):
        if match.lastgroup != "space":
            yield _Token(match.lastgroup or "", match.group(), line)
        line += match.group().count("\n")
    yield _Token("end", "end of file", line)


def _refuse(problem: str, line: int) -> NoReturn:
    raise InvalidArgumentError(
        f"The permission rules cannot be used: {problem} (line {line} of the OPL file). "
        "docs/permissions.md says which part of the language is understood."
    )


class _Parser:
    """Recursive descent; every `read_` method takes its own tokens and no others."""

    def __init__(self, tokens: list[_Token]) -> None:
        self._tokens = tokens
        self._position = 0
        self._mentioned: list[tuple[str, str | None, int]] = []

    @property
    def line(self) -> int:
        return self._next.line

    @property
    def at_end(self) -> bool:
        return self._next.kind == "end"

    def at(self, text: str) -> bool:
        return self._next.text == text

    def skip_import(self) -> None:
        """Takes `import { … } from "…"`, which only editors need."""
        self._take("import", "{")
        while not self._accept("}"):
            self._name("a name to import")
            self._accept(",")
        self._take("from")
        self._text()
        self._accept(";")

    def read_class(self) -> tuple[str, Namespace]:
        """`class X implements Namespace { related: …, permits = … }`; both parts are optional."""
        self._take("class")
        name = self._name("the name of a class")
        self._take("implements", "Namespace", "{")
        relations = self._relations() if self._accept("related") else {}
        permits = self._permits(relations) if self._accept("permits") else {}
        self._take("}")
        self._accept(";")
        return name, Namespace(relations, permits)

    def require_declared(self, namespaces: dict[str, Namespace]) -> None:
        """Refuses a type that no class declares; classes may come in any order."""
        for name, relation, line in self._mentioned:
            if name not in namespaces:
                _refuse(f"no class is called {name}", line)
            declared = namespaces[name].relations
            if relation is not None and relation not in declared:
                _refuse(f"{name} has no relation {relation}", line)
            if relation is None and declared:
                _refuse(f"{name} has relations, so only its SubjectSet can be a subject", line)

    def _relations(self) -> dict[str, tuple[Membership | None, ...]]:
        self._take(":", "{")
        relations: dict[str, tuple[Membership | None, ...]] = {}
        while not self._accept("}"):
            line = self.line
            name = self._name("the name of a relation")
            if name in relations:
                _refuse(f"relation {name} is declared twice", line)
            self._take(":")
            relations[name] = self._subject_types()
            self._take("[", "]")
            _ = self._accept(",") or self._accept(";")
        self._accept(",")
        return relations

    def _subject_types(self) -> tuple[Membership | None, ...]:
        if not self._accept("("):
            return (self._subject_type(),)
        subjects = [self._subject_type()]
        while self._accept("|"):
            subjects.append(self._subject_type())
        self._take(")")
        return tuple(dict.fromkeys(subjects))

    def _subject_type(self) -> Membership | None:
        line = self.line
        name = self._name("a type")
        if name != "SubjectSet":
            self._mentioned.append((name, None, line))
            return None
        self._take("<")
        namespace = self._name("a class")
        self._take(",")
        relation = self._text()
        self._take(">")
        self._mentioned.append((namespace, relation, line))
        return Membership(namespace, relation)

    def _permits(
        self, relations: dict[str, tuple[Membership | None, ...]]
    ) -> dict[str, tuple[str, ...]]:
        self._take("=", "{")
        permits: dict[str, tuple[str, ...]] = {}
        while not self._accept("}"):
            line = self.line
            name = self._name("the name of a permit")
            if name in permits or name in relations:
                _refuse(f"{name} is declared twice", line)
            self._take(":", "(", "ctx", ":", "Context", ")", ":", "boolean", "=>")
            permits[name] = self._union(relations)
            self._accept(",")
        _ = self._accept(",") or self._accept(";")
        return permits

    def _union(self, relations: dict[str, tuple[Membership | None, ...]]) -> tuple[str, ...]:
        granting = [*self._included(relations)]
        while self._accept("||"):
            granting += self._included(relations)
        return tuple(dict.fromkeys(granting))

    def _included(self, relations: dict[str, tuple[Membership | None, ...]]) -> tuple[str, ...]:
        if self._accept("("):
            granting = self._union(relations)
            self._take(")")
            return granting
        self._take("this", ".", "related", ".")
        line = self.line
        relation = self._name("a relation")
        if relation not in relations:
            _refuse(f"this.related.{relation} is not declared", line)
        self._take(".", "includes", "(", "ctx", ".", "subject", ")")
        return (relation,)

    @property
    def _next(self) -> _Token:
        return self._tokens[self._position]

    def _accept(self, text: str) -> bool:
        if not self.at(text):
            return False
        self._position += 1
        return True

    def _take(self, *texts: str) -> None:
        for text in texts:
            if not self._accept(text):
                _refuse(f"expected `{text}`, found `{self._next.text}`", self.line)

    def _name(self, what: str) -> str:
        return self._take_kind("word", what).text

    def _text(self) -> str:
        return self._take_kind("text", "a text in quotes").text[1:-1]

    def _take_kind(self, kind: str, what: str) -> _Token:
        token = self._next
        if token.kind != kind:
            _refuse(f"expected {what}, found `{token.text}`", token.line)
        self._position += 1
        return token
