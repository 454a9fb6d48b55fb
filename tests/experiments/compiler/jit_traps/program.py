"""Runs the named pitfalls and prints their rows; with `patched` first, some checks have other outcomes."""

import json
import sys

from experiments.bench.session import Bench
from experiments.compiler.jit_traps import value_pitfalls
from experiments.compiler.jit_traps.experiment import JitTrapsSpec, jit_traps
from experiments.compiler.jit_traps.pitfalls import PitfallOutcome


def raises(device):
    raise OSError("no such device\nat all")


if __name__ == "__main__":
    how, *names = sys.argv[1:]
    if how == "patched":
        value_pitfalls.CHECKS["constant"] = lambda device: PitfallOutcome("6", "4", "5", safe=False, fix_works=False)
        value_pitfalls.CHECKS["branch"] = raises
        value_pitfalls.CHECKS["nested"] = lambda device: PitfallOutcome("3", "3", "3", safe=True, fix_works=True)
    spec = JitTrapsSpec(traps=names)
    print(json.dumps([row.values for row in jit_traps.run(spec, Bench("CPU", lambda event: None))]))
