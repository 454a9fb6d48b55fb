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


def slowdown(environment: Mapping[str, Any] | None) -> float:
    """The largest factor by which others may have slowed a run: as if all time that they used was taken from it.

    1 if it was little or is unknown.
    """
    taken = sum(_shares(environment))
    return 1 / max(0.01, 1 - taken) if taken >= MIN_SHARE else 1.0


def neighbors(environment: Mapping[str, Any] | None) -> str:
    """What others used of the processor while the run measured; empty if it was little or is unknown."""
    others, stolen = _shares(environment)
    if (factor := slowdown(environment)) == 1:
        return ""
    who = [f"other processes used {others:.0%} of this machine's processor time"] if others >= MIN_SHARE / 2 else []
    who += [f"its host withheld {stolen:.0%} (steal)"] if stolen >= MIN_SHARE / 2 else []
    told = " and ".join(who) + " while this run measured"
    return (
        f"{told[0].upper()}{told[1:]}: latencies may be up to {factor:.3g}x those of an idle machine, and a difference "
        f"from another run below {factor:.3g}x may come from this. The variants of this run were affected alike."
    )


def remarks(environment: Mapping[str, Any] | None) -> list[str]:
    """All remarks on a run."""
    return [one for one in (neighbors(environment), set_aside(environment)) if one]


def _shares(environment: Mapping[str, Any] | None) -> tuple[float, float]:
    """The shares of other processes and of the hypervisor, 0 to 1; 0 for anything else that an import may contain."""
    found = [(environment or {}).get(name) for name in (OTHERS, STOLEN)]
    others, stolen = (min(1.0, max(0.0, one)) if isinstance(one, float) else 0.0 for one in found)
    return others, stolen
