"""Test programs: modules of this package that use tinygrad, so they run in a child process and print JSON."""

import json
import subprocess
import sys

from experiments.bench.machine.toolchain import child_environment
from experiments.bench.session import Bench
from experiments.bench.timing.measure import Budget

CEILINGS = [{"moved_bytes": 2**20, "gb_s": 1.0}, {"n": 64, "gflops": 1.0}]


def output_of(module, *arguments, **environment):
    """The JSON that `python -m module` prints as its last line of output."""
    command = [sys.executable, "-m", module, *arguments]
    given = {**child_environment("CPU"), **environment}
    done = subprocess.run(command, capture_output=True, text=True, env=given, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.strip().splitlines()[-1])


def measured(experiment, spec):
    """The values of the rows of an experiment, run in this process with a short budget and given ceilings."""
    bench = Bench("CPU", lambda event: None, budget=Budget(seconds=0.1), ceilings=CEILINGS)
    return [row.values for row in experiment.run(spec, bench)]
