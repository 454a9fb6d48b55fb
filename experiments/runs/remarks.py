"""What a person should know beside a run's answer, from the facts that were stored with it: one sentence each."""

from collections.abc import Mapping
from typing import Any

SET_ASIDE = "variables_set_aside"  # key in a run's environment: names, separated by spaces


def set_aside(environment: Mapping[str, Any] | None) -> str:
    """Which variables of the user did not reach the run; empty where there were none."""
    names = str((environment or {}).get(SET_ASIDE, "")).split()
    if not names:
        return ""
    which = "This variable was" if len(names) == 1 else "These variables were"
    return (
        f"{which} set and did not reach the run, because it would not measure what its spec says: {', '.join(names)}."
    )


def remarks(environment: Mapping[str, Any] | None) -> list[str]:
    """All remarks on a run."""
    return [one for one in (set_aside(environment),) if one]
