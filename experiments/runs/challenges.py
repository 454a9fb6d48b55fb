"""Which run of one's own meets an experiment's challenge: told by its rows, never by what somebody ticked."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine

from experiments.bench.challenge import Achievement
from experiments.bench.spec import Experiment
from experiments.runs import frames, store

LATEST = 30  # runs that are looked at


@dataclass(frozen=True)
class Solved:
    """The run that meets a challenge, and what of it does."""

    run_id: str
    met: Achievement


def met_by(db: Engine, experiment: Experiment[Any], run_id: str) -> Achievement | None:
    """What of a run meets the experiment's challenge; None where nothing does or it is no run of one's own."""
    run = store.get_run(db, run_id)
    if experiment.challenge is None or run is None or run["imported"] or run["status"] != "done":
        return None
    return experiment.challenge.met(frames.rows_frame(db, run, experiment))


def solved(db: Engine, experiment: Experiment[Any], judge: Callable[[str], Achievement | None]) -> Solved | None:
    """The latest run that meets the challenge; `judge` is `met_by` of a run id, or what remembers it."""
    if experiment.challenge is None:
        return None
    for run in store.list_runs(db, limit=LATEST, experiment=experiment.name, status="done"):
        if (met := judge(run["id"])) is not None:
            return Solved(run["id"], met)
    return None
