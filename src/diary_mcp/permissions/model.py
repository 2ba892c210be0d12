"""The permission model that an OPL file declares, and what of it a question needs."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from diary_mcp.domain.rules import Grant, Membership, Rule


@dataclass(frozen=True)
class Namespace:
    """One class of the file.

    `relations` has whom each relation may hold: members of something, and `None` for agents
    themselves. `permits` has the relations that each permit is the union of.
    """

    relations: Mapping[str, tuple[Membership | None, ...]]
    permits: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class PermissionModel:
    """All namespaces of the file, by name."""

    namespaces: Mapping[str, Namespace]

    def grant(self, namespace: str, permit: str) -> Grant:
        """What grants `permit` on objects of `namespace`."""
        granting = tuple(
            rule
            for relation in self.namespaces[namespace].permits[permit]
            for rule in self._rules(Membership(namespace, relation))
        )
        return Grant(granting, self._closure(rule.subjects for rule in granting))

    def membership_rules(self, membership: Membership) -> tuple[Rule, ...]:
        """Every rule that takes part in who belongs to such a set, at whatever depth."""
        return self._closure([membership])

    def _rules(self, membership: Membership) -> Iterator[Rule]:
        for subjects in self.namespaces[membership.namespace].relations[membership.relation]:
            yield Rule(membership.namespace, membership.relation, subjects)

    def _closure(self, memberships: Iterable[Membership | None]) -> tuple[Rule, ...]:
        found: dict[Membership, tuple[Rule, ...]] = {}
        waiting = list(memberships)
        while waiting:
            membership = waiting.pop()
            if membership is not None and membership not in found:
                found[membership] = tuple(self._rules(membership))
                waiting += [rule.subjects for rule in found[membership]]
        return tuple(rule for membership in sorted(found) for rule in found[membership])
