"""Runs that solve an experiment's challenge, computed from their rows; imported runs do not count."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine

from experiments.bench.challenge import Achievement
from experiments.bench.spec import Experiment
from experiments.runs import frames, store

LATEST = 30  # newest runs that are checked


@dataclass(frozen=True)
class Solved:
    """A run that solves a challenge, and the result that does."""

    run_id: str
    met: Achievement


def met_by(db: Engine, experiment: Experiment[Any], run_id: str) -> Achievement | None:
    """The result of a run that solves the experiment's challenge; None if none does or the run is imported."""
    run = store.get_run(db, run_id)
    if experiment.challenge is None or run is None or run["imported"] or run["status"] != "done":
        return None
    return experiment.challenge.met(frames.rows_frame(db, run, experiment))


def solved(db: Engine, experiment: Experiment[Any], judge: Callable[[str], Achievement | None]) -> Solved | None:
    """The latest run that solves the challenge; `judge` is `met_by` for a run id, possibly cached."""
    if experiment.challenge is None:
        return None
    for run in store.list_runs(db, limit=LATEST, experiment=experiment.name, status="done"):
        if (met := judge(run["id"])) is not None:
            return Solved(run["id"], met)
    return None
