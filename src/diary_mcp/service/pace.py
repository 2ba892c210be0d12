"""How eagerly processes take work from the durable queue."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Pace:
    """How often a process looks, and how many workflows it runs at once."""

    interval_s: float
    at_once: int


@dataclass(frozen=True)
class Paces:
    """The pace of a queue by what waits in it."""

    idle: Pace
    busy: Pace
    """While an entry is not settled at once, or work that was left to wait is done away with."""
    burst: Pace
    """While many changes come, and all of them are settled beside the queue."""
