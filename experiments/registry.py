"""Finds all experiments: every module of the three groups that declares one with `@experiment`."""

import functools
import importlib
import pkgutil
from types import ModuleType
from typing import Any

import experiments.compiler
import experiments.compression
import experiments.deployment
from experiments.bench.spec import BadInput, Experiment

GROUPS = (experiments.compiler, experiments.compression, experiments.deployment)


@functools.cache
def registered() -> dict[str, Experiment[Any]]:
    """All experiments by name, section by section. Imports neither tinygrad nor pandas."""
    found: dict[str, Experiment[Any]] = {}
    for group in GROUPS:
        for info in pkgutil.iter_modules(group.__path__, f"{group.__name__}."):
            for one in declared(importlib.import_module(info.name)):
                if one.name in found:
                    raise ValueError(f"two experiments are called {one.name}")
                found[one.name] = one
    return found


def declared(module: ModuleType) -> list[Experiment[Any]]:
    """The experiments that one module declares."""
    return [value for value in vars(module).values() if isinstance(value, Experiment)]


def find(name: str) -> Experiment[Any]:
    """The experiment called `name`, or BadInput that lists the names."""
    known = registered()
    if name not in known:
        shown = name if len(name) <= 60 else name[:57] + "…"
        raise BadInput(f"experiment: {shown} is unknown; the experiments are {', '.join(known)}")
    return known[name]
