"""What an OPL file says, where it is written as ours is; any other file is an error."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from diary_mcp.domain.relations import Grant, Membership, Parent, Rule

_RELATION = r'(\w+): (\([\w|<>," ]+\)|\w+)\[\] '
_INCLUDES = r"this\.related\.(\w+)\.includes\(ctx\.subject\)"
_PARENT = r"this\.related\.(\w+)\.traverse\(\(diary\) => diary\.permits\.(\w+)\(ctx\)\)"
_PERMIT = (
    rf"(\w+): \(ctx: Context\): boolean => "
    rf"({_INCLUDES}(?: \|\| {_INCLUDES})*)(?: \|\| ({_PARENT}))?, "
)
_CLASS = (
    r"class (\w+) implements Namespace \{ ?"
    rf"(?:related: \{{ ((?:{_RELATION})*)\}} )?(?:permits = \{{ ((?:{_PERMIT})*)\}} )?\}} "
)
_FILE = rf'import \{{[\w, ]+\}} from "[^"]+" (?:{_CLASS})+'
_MEMBERS = re.compile(r'SubjectSet<(\w+), "(\w+)">')


@dataclass(frozen=True)
class Namespace:
    """Whom each relation admits, with `None` for agents; what each permit is the union of.

    `parents` are the relation and the permit that a permit is lent by besides.
    """

    relations: Mapping[str, tuple[Membership | None, ...]]
    permits: Mapping[str, tuple[str, ...]]
    parents: Mapping[str, tuple[str, str]] = field(default_factory=dict[str, tuple[str, str]])


@dataclass(frozen=True)
class Rules:
    """All classes of a file, by name."""

    namespaces: Mapping[str, Namespace]

    def grant(self, namespace: str, permit: str) -> Grant:
        """What grants `permit` on objects of `namespace`."""
        granting = self._granting(namespace, permit)
        sets = {rule.subjects for rule in granting if rule.subjects is not None}
        membership = tuple(rule for each in sets for rule in self.membership(each))
        lent = self.namespaces[namespace].parents.get(permit)
        if lent is None:
            return Grant(granting, membership)
        relation, lent_permit = lent
        (lender,) = self.namespaces[namespace].relations[relation]
        assert lender is not None
        parent = Parent(
            Membership(namespace, relation),
            lender.namespace,
            self._granting(lender.namespace, lent_permit),
        )
        return Grant(granting, membership, parent)

    def _granting(self, namespace: str, permit: str) -> tuple[Rule, ...]:
        return tuple(
            rule
            for relation in self.namespaces[namespace].permits[permit]
            for rule in self._rules(Membership(namespace, relation))
        )

    def membership(self, members: Membership) -> tuple[Rule, ...]:
        """Who belongs to such a set, where its sets are only of its own kind."""
        rules = tuple(self._rules(members))
        assert {rule.subjects for rule in rules} <= {None, members}
        return rules

    def _rules(self, holder: Membership) -> Iterator[Rule]:
        for subjects in self.namespaces[holder.namespace].relations[holder.relation]:
            yield Rule(holder.namespace, holder.relation, subjects)


def read_opl(text: str) -> Rules:
    """The classes of a file in which there is nothing else."""
    words = " ".join(re.sub(r"//[^\n]*", "", text).split()) + " "
    assert re.fullmatch(_FILE, words), "tests/support/opl.py does not know all of the file"
    return Rules({match[1]: _namespace(match[0]) for match in re.finditer(_CLASS, words)})


def _namespace(text: str) -> Namespace:
    return Namespace(
        {name: _subjects(types) for name, types in re.findall(_RELATION, text)},
        {match[1]: tuple(re.findall(_INCLUDES, match[2])) for match in re.finditer(_PERMIT, text)},
        {
            match[1]: (parent[1], parent[2])
            for match in re.finditer(_PERMIT, text)
            if (parent := re.search(_PARENT, match[0])) is not None
        },
    )


def _subjects(types: str) -> tuple[Membership | None, ...]:
    return tuple(
        Membership(found[1], found[2])
        if (found := _MEMBERS.fullmatch(each))
        else (Membership("Diary", "") if each == "Diary" else None)
        for each in types.strip("()").split(" | ")
    )
