"""Frames to plotly figures: pure functions, one module per experiment, found by the experiment's name.

A figure module has `panels(rows, details)`, the figures of a whole run, and may have `point_panels(rows,
details)`, those of one grid point, for which the page offers a choice of the points, `point_tables(rows, details)`,
small tables below them, and `compared_panels(rows, names)`, those of several runs together, by what each run is
called. For an experiment of one's own it is the file `NAME_figures.py` beside the experiment's.
"""

import functools
import importlib
import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from experiments import registry

Details = Mapping[str, pd.DataFrame]
Panels = Callable[[pd.DataFrame, Details], "list[Panel]"]
Compared = Callable[[pd.DataFrame, Mapping[str, str]], "list[Panel]"]


@dataclass(frozen=True)
class Panel:
    """One figure with the sentence that says how to read it, also its name for screen readers.

    `code` is shown below it. `selects`: its points carry the variant first in their customdata, and those that are
    selected filter the table.
    """

    title: str
    figure: go.Figure
    caption: str
    code: str = ""
    selects: bool = False


@dataclass(frozen=True)
class Table:
    """A few words for each of a few things, by their names in the frame's index; whole, without scrolling."""

    title: str
    frame: pd.DataFrame


Tables = Callable[[pd.DataFrame, Details], list[Table]]


@dataclass(frozen=True)
class Drawings:
    """What one experiment's figure module draws."""

    panels: Panels
    point_panels: Panels
    point_tables: Tables
    compared_panels: Compared


def none(rows: pd.DataFrame, details: Mapping[str, Any]) -> list[Any]:
    """No figures and no tables."""
    return []


def drawings(experiment: str) -> Drawings:
    """The figure module of an experiment; an experiment without one has a table alone."""
    name = f"{__name__}.{experiment}"
    own = next((path for folder in registry.folders() if (path := folder / f"{experiment}_figures.py").exists()), None)
    if importlib.util.find_spec(name) is not None:
        module = importlib.import_module(name)
    elif own is not None:
        module = _module_of(str(own), own.stat().st_mtime_ns)
    else:
        return Drawings(none, none, none, none)
    parts = ("panels", "point_panels", "point_tables", "compared_panels")
    return Drawings(*(getattr(module, part, none) for part in parts))


@functools.lru_cache(maxsize=64)
def _module_of(path: str, _changed: int) -> ModuleType:
    """A figure module of one's own, imported again when its file has changed."""
    return registry.module_of(Path(path))
