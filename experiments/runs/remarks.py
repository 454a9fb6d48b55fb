"""What a person should know beside a run's answer, from the facts that were stored with it: one sentence each."""

from collections.abc import Mapping
from typing import Any

from experiments.bench.machine.neighbors import OTHERS, STOLEN

SET_ASIDE = "variables_set_aside"  # key in a run's environment: names, separated by spaces
MIN_SHARE = 0.05  # of all processors' time: less than this is every machine's own housekeeping


def set_aside(environment: Mapping[str, Any] | None) -> str:
    """Which variables of the user did not reach the run; empty where there were none."""
    names = str((environment or {}).get(SET_ASIDE, "")).split()
    if not names:
        return ""
    which = "This variable was" if len(names) == 1 else "These variables were"
    return (
        f"{which} set and did not reach the run, because it would not measure what its spec says: {', '.join(names)}."
    )


def neighbors(environment: Mapping[str, Any] | None) -> str:
    """What others used of the processor while the run measured; empty where it was little or is unknown.

    They may slow a call at most by the factor 1 / (1 - share), as if all time that they used was taken from it.
    """
    others, stolen = (_share(environment, name) for name in (OTHERS, STOLEN))
    if others + stolen < MIN_SHARE:
        return ""
    who = [f"other processes used {others:.0%} of this machine's processor time"] if others >= MIN_SHARE / 2 else []
    who += [f"its host withheld {stolen:.0%} (steal)"] if stolen >= MIN_SHARE / 2 else []
    told = " and ".join(who) + " while this run measured"
    factor = 1 / max(0.01, 1 - others - stolen)
    return (
        f"{told[0].upper()}{told[1:]}: latencies may be up to {factor:.3g}x those of an idle machine, and a difference "
        f"from another run below {factor:.3g}x may come from this. The variants of this run were affected alike."
    )


def remarks(environment: Mapping[str, Any] | None) -> list[str]:
    """All remarks on a run."""
    return [one for one in (neighbors(environment), set_aside(environment)) if one]


def _share(environment: Mapping[str, Any] | None, name: str) -> float:
    """A stored share, 0 to 1; 0 where there is none: an imported run may hold anything."""
    value = (environment or {}).get(name)
    return min(1.0, max(0.0, value)) if isinstance(value, float) else 0.0
