"""Frames with the columns of an experiment, built from records; and what tests read off a panel."""

from experiments.registry import find
from experiments.runs import frames


def rows_of(experiment, records):
    """The rows of one run."""
    same = {"run_id": "r", "experiment": experiment, "device": "CPU"}
    return frames.frame_of([{**same, **one} for one in records], (*frames.IDENTITY, *find(experiment).columns))


def details_of(experiment, **records):
    """All details of an experiment; those without records are empty."""
    declared = find(experiment).details
    return {name: frames.frame_of(records.get(name, []), columns) for name, columns in declared.items()}


def titles(panels):
    return [panel.title for panel in panels]
