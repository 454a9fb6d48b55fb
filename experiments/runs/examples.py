"""Bundled example runs, measured with the project's command line and shown to users without runs.

The bundles lie in `experiments/examples`, named `<experiment>-<machine>-<run id>.zip`. They are imported like any
bundle, marked as imported and titled as examples, so that they are never taken for runs of this machine.
"""

import json
import zipfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from sqlalchemy import Engine

from experiments.runs import bundle, store
from experiments.runs.run_data import RunData

FOLDER = Path(__file__).parents[1] / "examples"


@dataclass(frozen=True)
class Example:
    """One bundled run."""

    experiment: str
    machine: str
    run_id: str
    title: str  # `Example: NVIDIA H100 80 GB · course`
    file: Path

    @property
    def measured_on(self) -> str:
        """The machine's usual name: `NVIDIA H100 80 GB`."""
        return self.title.removeprefix("Example: ").partition(" · ")[0]


def bundled(experiment: str = "") -> list[Example]:
    """All examples, or those of one experiment, by name."""
    found = [_example(path) for path in sorted(FOLDER.glob("*.zip"))]
    return [one for one in found if experiment in ("", one.experiment)]


@lru_cache(maxsize=256)
def _example(path: Path) -> Example:
    experiment, machine, run_id = path.stem.rsplit("-", 2)
    with zipfile.ZipFile(path) as archive:  # part of the project, so trusted: other zips are read by `safe_zip`
        title = json.loads(archive.read(bundle.RUN))["run"]["title"]
    return Example(experiment, machine, run_id, title, path)


def opened(example: Example) -> RunData:
    """The run of an example, without importing it."""
    return bundle.read(example.file.read_bytes())


def load(db: Engine, examples: list[Example]) -> int:
    """Imports examples; returns how many were new in this database."""
    return sum(bundle.import_run(db, one.file.read_bytes())[1] for one in examples)


def loaded(db: Engine) -> list[Example]:
    """The examples that are in this database."""
    here = {one.run_id: store.get_run(db, one.run_id) for one in bundled()}
    return [one for one in bundled() if (run := here[one.run_id]) is not None and run["imported"]]


def remove(db: Engine) -> int:
    """Deletes the examples from this database, and nothing else; returns how many."""
    return sum(store.delete_run(db, one.run_id) for one in loaded(db))
