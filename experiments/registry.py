"""Finds all experiments: those of the groups, and those in the folders that `TINYLAB_EXPERIMENTS` names.

An experiment is one file of its group, or a folder whose module `experiment` declares it.

From a user's folder every `*.py` is imported, except names that begin with an underscore and figure modules
(`*_figures.py`). A file that cannot be imported is skipped and listed by `broken`; the others are not affected.
"""

import functools
import importlib
import importlib.util
import os
import pkgutil
import sys
import zlib
from pathlib import Path
from types import ModuleType
from typing import Any

import experiments.compiler
import experiments.compression
import experiments.deployment
import experiments.machine
import experiments.studies
from experiments.bench.errors import BadInput, one_line
from experiments.bench.spec import Experiment

GROUPS = (
    experiments.compiler,
    experiments.compression,
    experiments.studies,
    experiments.deployment,
    experiments.machine,
)
FOLDERS = "TINYLAB_EXPERIMENTS"  # the user's folders, separated as in PATH


def registered() -> dict[str, Experiment[Any]]:
    """All experiments by name, section by section. Imports no tinygrad, numpy or pandas."""
    return _scan()[0]


def broken() -> dict[str, str]:
    """The user's files and folders that cannot be used, each with its cause in one line."""
    return _scan()[1]


def forget() -> None:
    """Clears the cache: the next call reads the folders again."""
    _scan.cache_clear()


@functools.cache
def _scan() -> tuple[dict[str, Experiment[Any]], dict[str, str]]:
    found: dict[str, Experiment[Any]] = {}
    causes: dict[str, str] = {}
    for group in GROUPS:
        for info in pkgutil.iter_modules(group.__path__, f"{group.__name__}."):
            name = f"{info.name}.experiment" if info.ispkg else info.name
            _add(found, importlib.import_module(name))
    for folder in folders():
        if not folder.is_dir():
            causes[str(folder)] = f"not a folder; {FOLDERS} names it"
        for path in sorted(folder.glob("[!_]*.py")):
            if path.stem.endswith("_figures"):
                continue
            try:
                _add(found, module_of(path))
            except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a user's file raises is reported
                causes[str(path)] = one_line(error)
    return found, causes


def folders() -> list[Path]:
    """The folders with the user's experiments and figures."""
    return [Path(name) for name in os.environ.get(FOLDERS, "").split(os.pathsep) if name]


def _add(found: dict[str, Experiment[Any]], module: ModuleType) -> None:
    new = {one.name: one for one in declared(module)}
    for name, one in new.items():
        if found.get(name, one) is not one:
            raise ValueError(f"two experiments are called {name}")
    found |= new


def module_of(path: Path) -> ModuleType:
    """Imports a user's file, under a module name that no other file has."""
    name = f"tinylab_{zlib.crc32(str(path.absolute()).encode()):08x}_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path.name} is not a Python module")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # pydantic looks up annotations there
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def declared(module: ModuleType) -> list[Experiment[Any]]:
    """The experiments that a module declares."""
    return [value for value in vars(module).values() if isinstance(value, Experiment)]


def find(name: str) -> Experiment[Any]:
    """The experiment called `name`, or BadInput that lists the names."""
    known = registered()
    if name not in known:
        shown = name if len(name) <= 60 else name[:57] + "…"
        raise BadInput(f"experiment: {shown} is unknown; the experiments are {', '.join(known)}")
    return known[name]
