"""How a network is pruned, as data: the method by its name, its scope and its schedule."""

import re
from dataclasses import dataclass
from typing import Literal

Scope = Literal["global", "layer"]
Schedule = Literal["one_shot", "cubic"]
UnitScore = Literal["l1", "l2", "taylor", "random"]
UNIT_SCORES: dict[str, UnitScore] = {f"{score} units": score for score in ("l1", "l2", "taylor", "random")}
PATTERN = re.compile(r"(\d{1,3}):(\d{1,3})")


@dataclass(frozen=True)
class PruningConfig:
    """A pruning method; `schedule` as in `fine_tuning.fine_tune`; `distilled`: fine-tuned with a teacher."""

    method: str = "magnitude"
    scope: Scope | None = None
    schedule: Schedule = "cubic"
    distilled: bool = False

    @property
    def removes_units(self) -> bool:
        """Whether the method removes units, so that the network becomes smaller."""
        return self.method in UNIT_SCORES


def parse_n_of_m(pattern: str) -> tuple[int, int]:
    """N and M of a text such as `2:4`; raises ValueError if it is not of this form or N is larger than M."""
    found = PATTERN.fullmatch(pattern)
    n, m = (int(number) for number in found.groups()) if found else (0, 0)
    if not 1 <= n <= m:
        raise ValueError(f"{pattern} is not allowed; give N:M, such as 2:4, with N from 1 to M")
    return n, m
