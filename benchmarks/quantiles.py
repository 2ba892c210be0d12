"""What part of some durations took no longer than how long."""

import math
import statistics
from collections.abc import Sequence


def quantile(durations: Sequence[float], percent: int) -> float:
    """Of one duration it is that one, of none not a number."""
    if len(durations) < 2:  # noqa: PLR2004
        return durations[0] if durations else math.nan
    return statistics.quantiles(durations, n=100, method="inclusive")[percent - 1]
