"""Who may read and write what, said by a model that knows nothing of the code under test.

There are four agents: ann, bob and cat write, dan is given nothing. Cat is in groups, and one group
in another. Besides everybody's `main` there is one diary more, `team`, which ann makes.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NewType

from diary_mcp.domain.diaries import GivenRole
from diary_mcp.domain.fields import AgentName, EntryId, Grantee

ANN, BOB, CAT, DAN = AGENTS = [AgentName(name) for name in ("ann", "bob", "cat", "dan")]
CREW, INNER = Grantee("group:crew"), Grantee("group:inner")

Place = NewType("Place", str)
"""A diary: `team`, or the `main` of an agent, by its owner's name."""

TEAM = Place("team")
PLACES = (TEAM, *map(Place, AGENTS))
Membership = tuple[Grantee, Grantee]
"""A group, and who is in it."""

MEMBERSHIPS: tuple[Membership, ...] = (
    (CREW, INNER), (INNER, Grantee(CAT)), (CREW, Grantee(CAT)),
)  # fmt: skip
Given = dict[Grantee, "Right"]


@dataclass
class Right:
    """A share or a role, and how many hours it has left."""

    hours: float | None
    role: GivenRole = "viewer"

    @property
    def is_active(self) -> bool:
        return self.hours is None or self.hours > 0


@dataclass
class Written:
    """An entry, as far as it matters who may read it."""

    owner: AgentName
    place: Place
    mark: str
    """A word that stands in no other entry."""

    content: str
    shares: Given = field(default_factory=dict[Grantee, Right])


@dataclass
class Expected:
    """What was done, and what follows from it."""

    entries: dict[EntryId, Written] = field(default_factory=dict[EntryId, Written])
    team_owner: AgentName = ANN
    roles: dict[Place, Given] = field(default_factory=lambda: {place: {} for place in PLACES})

    def owner_of(self, place: Place) -> AgentName:
        return self.team_owner if place == TEAM else AgentName(place)

    def name(self, place: Place, caller: AgentName) -> str:
        """The diary, as the caller names it."""
        name, owner = "team" if place == TEAM else "main", self.owner_of(place)
        return name if owner == caller else f"{owner}/{name}"

    def owned(self, agent: AgentName) -> set[EntryId]:
        return {id_ for id_, entry in self.entries.items() if entry.owner == agent}

    def within(self, place: Place) -> set[EntryId]:
        return {id_ for id_, entry in self.entries.items() if entry.place == place}

    def given(self) -> list[Right]:
        """Every share and role."""
        each = [*self.roles.values(), *(entry.shares for entry in self.entries.values())]
        return [right for rights in each for right in rights.values()]


@dataclass(frozen=True)
class Readers:
    """The same beside the groups, which live in the permission backend: no backup has them."""

    expected: Expected
    memberships: set[Membership]
    are_denied: bool = False
    """Whether nothing that was given holds."""

    def visible(self, agent: AgentName) -> set[EntryId]:
        """What is its own, in a diary that it may read, or shared with it."""
        return {
            id_
            for id_, entry in self.expected.entries.items()
            if agent == entry.owner
            or self.may_read(agent, entry.place)
            or any(right.is_active for right in self._rights(agent, entry.shares))
        }

    def may_read(self, agent: AgentName, place: Place) -> bool:
        rights = self._rights(agent, self.expected.roles[place])
        return agent == self.expected.owner_of(place) or any(right.is_active for right in rights)

    def may_write(self, agent: AgentName, place: Place) -> bool:
        rights = self._rights(agent, self.expected.roles[place])
        return agent == self.expected.owner_of(place) or any(
            right.is_active and right.role == "writer" for right in rights
        )

    def _rights(self, agent: AgentName, given: Given) -> Iterable[Right]:
        names = set[Grantee]() if self.are_denied else self._names(agent)
        return [given[name] for name in names & given.keys()]

    def _names(self, agent: AgentName) -> set[Grantee]:
        names = {Grantee(agent)}
        for _ in MEMBERSHIPS:
            names |= {group for group, member in self.memberships if member in names}
        return names
