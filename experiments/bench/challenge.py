"""A challenge: a goal on an experiment's page that a run meets or not, told by its rows alone."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Met:
    """What meets a challenge, and the reason that its question asks for."""

    what: str
    why: str


@dataclass(frozen=True)
class Challenge:
    """What to reach, what to ask oneself then, the preset to start from, and how rows that meet it are known."""

    goal: str
    question: str
    start: str
    met: "Callable[[pd.DataFrame], Met | None]"


def holding(frame: "pd.DataFrame", *conditions: "pd.Series") -> "pd.DataFrame":
    """The rows for which all conditions hold; one over an empty cell does not."""
    for condition in conditions:
        frame = frame[condition.reindex(frame.index).fillna(False).astype(bool)]
    return frame
