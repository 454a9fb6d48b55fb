"""An experiment that tells which environment variables reached it, and reached a helper process that it started."""

import os
import subprocess
import sys
from collections.abc import Iterator

from experiments.bench.columns import Column
from experiments.bench.rows import Row
from experiments.bench.session import Bench
from experiments.bench.spec import Spec, experiment

NAMES = [sys.executable, "-c", "import os; print(*os.environ)"]


@experiment(
    section="Compiler",
    title="Inherited variables",
    question="Which variables reach a run?",
    spec=Spec,
    presets={"quick": Spec()},
    grid=(),
    columns=[Column("names", "text", "the variables, separated by spaces")],
    summary=("variant", "names"),
    answer=lambda frame: "",
)
def inherited(spec: Spec, bench: Bench) -> Iterator[Row]:
    """Two rows: the names in this process, and in a process that it starts."""
    yield Row({"variant": "run", "names": " ".join(os.environ)})
    started = subprocess.run(NAMES, capture_output=True, text=True, check=True)
    yield Row({"variant": "started by it", "names": started.stdout.strip()})
