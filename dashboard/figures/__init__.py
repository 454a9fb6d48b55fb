"""What the dashboard draws for one experiment, found by the experiment's name; the other pages name no experiment.

The module `dashboard.figures.NAME` (a folder if it has several files), or for a user-defined experiment the file
`NAME_figures.py` next to it, may define these functions:

- `panels(rows, details)`: figures of a whole run;
- `point_panels(rows, details)`: figures of one grid point, for which the page offers a choice of points;
- `point_tables(rows, details)`: small tables below them;
- `compared_panels(rows, names)`: figures of several runs together, `names` by run id;
- `point_sections(run, rows, details)`: further Streamlit elements of one grid point;
- `sections(run, rows, details)`: further Streamlit elements below the figures of a run;
- `overview()`: a section of the Overview;
- `method_section()`: a section of the Method page;
- `device_section(device, host, facts)`: a section for each working device on the Devices page. `host` is empty for
  this machine; `facts` is the environment, None for another host.

The first four are pure: frames in, plotly figures out.
"""

import functools
import importlib
import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from experiments import registry

Details = Mapping[str, pd.DataFrame]
Panels = Callable[[pd.DataFrame, Details], "list[Panel]"]
ComparedPanels = Callable[[pd.DataFrame, Mapping[str, str]], "list[Panel]"]
PointTables = Callable[[pd.DataFrame, Details], "list[Table]"]
RunSection = Callable[[Any, pd.DataFrame, Details], None]
DeviceSection = Callable[[str, str, Mapping[str, Any] | None], None]


@dataclass(frozen=True)
class Panel:
    """One figure with the sentence that says how to read it, which is also its name for screen readers.

    `code` is shown below it. `selects`: each point has the variant first in its customdata, and selecting points
    filters the table.
    """

    title: str
    figure: go.Figure
    caption: str
    code: str = ""
    selects: bool = False


@dataclass(frozen=True)
class Table:
    """A small table, shown whole; the frame's index holds the row names."""

    title: str
    frame: pd.DataFrame


def none(*_: Any) -> list[Any]:
    """No figures, tables or elements: the default of everything that a module does not define."""
    return []


@dataclass(frozen=True)
class ExperimentView:
    """The functions of one experiment's dashboard module."""

    panels: Panels = none
    point_panels: Panels = none
    point_tables: PointTables = none
    compared_panels: ComparedPanels = none
    point_sections: RunSection = none
    sections: RunSection = none
    overview: Callable[[], None] = none
    method_section: Callable[[], None] = none
    device_section: DeviceSection = none


def view_of(experiment: str) -> ExperimentView:
    """The dashboard module of an experiment; without one it has only a table."""
    name = f"{__name__}.{experiment}"
    own = next((path for folder in registry.folders() if (path := folder / f"{experiment}_figures.py").exists()), None)
    if importlib.util.find_spec(name) is not None:
        module = importlib.import_module(name)
    elif own is not None:
        module = _module_of(str(own), own.stat().st_mtime_ns)
    else:
        return ExperimentView()
    parts = [field.name for field in fields(ExperimentView)]
    return ExperimentView(**{part: getattr(module, part) for part in parts if hasattr(module, part)})


def views() -> dict[str, ExperimentView]:
    """The dashboard modules of all registered experiments by name."""
    return {name: view_of(name) for name in registry.registered()}


@functools.lru_cache(maxsize=64)
def _module_of(path: str, _changed: int) -> ModuleType:
    """A user-defined dashboard module, imported again when its file has changed."""
    return registry.module_of(Path(path))
