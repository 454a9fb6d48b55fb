"""A challenge: a goal on an experiment's page; whether a run meets it is computed from the run's rows."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Achievement:
    """The result that meets a challenge, and the answer to the challenge's question."""

    result: str
    explanation: str


@dataclass(frozen=True)
class Challenge:
    """A goal, a question about why it works, the preset to start from, and the check of a run's rows."""

    goal: str
    question: str
    start: str
    met: "Callable[[pd.DataFrame], Achievement | None]"


def rows_where(frame: "pd.DataFrame", *conditions: "pd.Series") -> "pd.DataFrame":
    """The rows for which all conditions are true; an empty cell in a condition counts as false."""
    for condition in conditions:
        frame = frame[condition.reindex(frame.index).fillna(False).astype(bool)]
    return frame
