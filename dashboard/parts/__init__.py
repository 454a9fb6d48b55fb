"""Parts of a page that one experiment alone has, found by the experiment's name as its figures are.

A module `dashboard.parts.NAME` has `show(run)`, which draws below the figures of a run; most experiments have none.
"""

import importlib
import importlib.util
from typing import Any


def show(experiment: str, run: Any) -> None:
    """Draws the experiment's own part of the page, if it has one."""
    name = f"{__name__}.{experiment}"
    if importlib.util.find_spec(name) is not None:
        importlib.import_module(name).show(run)
