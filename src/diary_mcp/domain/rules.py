"""Permission rules, as far as an evaluation of relation tuples needs them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Membership:
    """Everybody in `relation` of some object in `namespace`: a subject set without its object."""

    namespace: str
    relation: str


@dataclass(frozen=True, slots=True)
class Rule:
    """`subjects` may stand in `relation` to an object of `namespace`; `None` means agents."""

    namespace: str
    relation: str
    subjects: Membership | None


@dataclass(frozen=True, slots=True)
class Grant:
    """What grants something on an object: one tuple on it that fits one of the `granting` rules.

    Where such a rule admits members of something, the `membership` rules say who belongs to it,
    level by level. Rules are only ever united: one fitting chain of tuples is enough.
    """

    granting: tuple[Rule, ...]
    membership: tuple[Rule, ...]
