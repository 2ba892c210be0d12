"""What `explain` tells of a statement."""

from collections.abc import Iterator
from typing import cast

Plan = dict[str, object]


def nodes(plan: Plan) -> Iterator[Plan]:
    """A plan, and all that is below."""
    yield plan
    for below in cast("list[Plan]", plan.get("Plans", [])):
        yield from nodes(below)
