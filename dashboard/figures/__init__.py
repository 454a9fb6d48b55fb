"""Frames to plotly figures: pure functions, one module per experiment, found by the experiment's name.

A figure module has `panels(rows, details)`, the figures of a whole run, and may have `point_panels(rows,
details)`, those of one grid point, for which the page offers a choice of the points.
"""

import importlib
import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pandas as pd
import plotly.graph_objects as go

Details = Mapping[str, pd.DataFrame]
Panels = Callable[[pd.DataFrame, Details], "list[Panel]"]


@dataclass(frozen=True)
class Panel:
    """One figure with the sentence that says how to read it; also its name for screen readers."""

    title: str
    figure: go.Figure
    caption: str


@dataclass(frozen=True)
class Drawings:
    """What one experiment's figure module draws."""

    panels: Panels
    point_panels: Panels


def none(rows: pd.DataFrame, details: Details) -> list[Panel]:
    """No figures."""
    return []


def drawings(experiment: str) -> Drawings:
    """The figure module of an experiment; an experiment without one has a table alone."""
    name = f"{__name__}.{experiment}"
    if importlib.util.find_spec(name) is None:
        return Drawings(none, none)
    module = importlib.import_module(name)
    return Drawings(getattr(module, "panels", none), getattr(module, "point_panels", none))
