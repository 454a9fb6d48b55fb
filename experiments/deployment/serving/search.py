"""The highest rate at which a server still meets its objective, found by trial as MLPerf's Server scenario does."""

import math
from collections.abc import Callable

GROWTH, MIN_RATE, FINE = 2.0, 5.0, 1.15


def highest(meets: Callable[[float], bool], start: float, trials: int) -> float | None:
    """The highest tried rate that `meets` says yes to, with none refused below it; None if the lowest is refused.

    From `start` the rate is doubled while it is met and halved while it is not; then the gap between the highest met
    and the lowest refused rate is halved on a logarithmic scale, until it is less than 15 % or `trials` are spent.
    """
    met: float | None = None
    refused: float | None = None
    rate = max(start, MIN_RATE)
    for _ in range(trials):
        if meets(rate):
            met = rate
        else:
            refused = rate
        if met and refused and refused / met <= FINE:
            break
        if met is None and rate <= MIN_RATE:
            break
        rate = _next(met, refused)
    return met


def _next(met: float | None, refused: float | None) -> float:
    """The rate to try after these, in three digits."""
    if met and refused:
        return float(f"{math.sqrt(met * refused):.3g}")
    return met * GROWTH if met else max((refused or MIN_RATE) / GROWTH, MIN_RATE)
