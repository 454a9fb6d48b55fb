"""Runs the JIT experiment on a function that does not compute what its reference computes."""

import json

from experiments.compiler import jit
from experiments.models.functions import FunctionModel, elementwise
from tests.experiments.compiler.program_tools import measured

if __name__ == "__main__":
    correct = elementwise()
    wrong = FunctionModel(lambda x, y: (correct.function(x, y) + 1).realize(), correct.sample, correct.reference)
    jit.build = lambda spec, device: wrong
    print(json.dumps(measured(jit.jit, jit.JitSpec(model="elementwise", size=[8], calls=3))))
