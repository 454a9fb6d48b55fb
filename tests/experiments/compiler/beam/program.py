"""Compares every workload with numpy, and runs BEAM experiments that hang, are wrong, or are too slow.

Without arguments it compares the workloads; with `endings` it runs the experiments.
"""

import json
import sys
import time

from experiments.bench.machine import ceilings
from experiments.bench.session import Bench, max_abs_error, tolerance
from experiments.bench.tinygrad.kernel_search import applied
from experiments.compiler.beam import experiment
from experiments.compiler.beam.spec import KERNELS
from experiments.compiler.beam.workloads import build
from experiments.models.functions import FunctionModel, tensors
from tests.experiments.compiler.program_tools import CEILINGS, measured

SPEC = experiment.BeamSpec(kernel="row_reduce", size=[64], widths=[1], search_budget_s=4)
PREPARE = experiment.prepare
WORKLOAD = experiment._workload


def hanging(device, **arguments):
    """In the process of a search: prepares its call; timing the second candidate never ends."""
    from tinygrad.codegen.opt import search

    time_program, timed = search._time_program, []

    def hangs(*program, **named):
        timed.append(1)
        while len(timed) > 1:
            time.sleep(1)
        return time_program(*program, **named)

    search._time_program = hangs
    return PREPARE(device, **arguments)


def compared(workload):
    """Error, tolerance and shape of a workload's result."""
    arrays = workload.sample(24)
    result, expected = workload.function(*tensors("CPU", *arrays)).numpy(), workload.reference(*arrays)
    return [max_abs_error(result, expected), tolerance(expected, 1e-5, 1e-4), list(expected.shape)]


def workloads():
    found = {name: compared(build(name, "float32", 2, 3, 5)) for name in KERNELS}
    return found | {"float16": compared(build("matmul", "float16", 2, 3, 5))}


def hanging_search():
    experiment.PREPARE = f"{__spec__.name}:hanging"
    return measured(experiment.beam, SPEC)


def wrong_kernels():
    def wrong(spec):
        correct = WORKLOAD(spec)
        return FunctionModel(correct.function, correct.sample, lambda *arrays: correct.reference(*arrays) + 1)

    def finds(device, prepare, optimization, *_, **__):
        chosen = {"no such kernel": ()} if optimization.width else {}
        return experiment.SearchResult(optimization, "done", 1.0, 2.0, (), chosen)

    experiment._workload, experiment.search = wrong, finds
    return measured(experiment.beam, SPEC)


def too_slow(name):
    """Rows of a run in which the first call of variant `name` does not end."""

    def finds(device, prepare, optimization, *_, **__):
        ended = "timeout" if optimization.name == name else "done"
        return experiment.SearchResult(optimization, ended, 4.0, 2.0, (), {})

    experiment._workload, experiment.search = WORKLOAD, finds
    return measured(experiment.beam, SPEC)


def ceilings_options():
    """The optimization options in effect when ceilings are measured while an unoptimized variant is profiled."""
    from tinygrad.helpers import BEAM, NOOPT

    options = []
    ceilings.quick_ceilings = lambda device: options.append([NOOPT.value, BEAM.value]) or CEILINGS
    with applied(experiment.NOOPT, {}):
        Bench("CPU", lambda event: None).ceilings()
    return options


if __name__ == "__main__":
    if sys.argv[1:] == ["endings"]:
        runs = {"hanging": hanging_search(), "wrong": wrong_kernels()}
        runs |= {f"slow {name}": too_slow(name) for name in ("noopt", "heuristic")}
        by_variant = {name: {row["variant"]: row for row in rows} for name, rows in runs.items()}
        print(json.dumps({**by_variant, "ceilings": ceilings_options()}))
    else:
        print(json.dumps(workloads()))
