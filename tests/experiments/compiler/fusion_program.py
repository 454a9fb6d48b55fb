"""Counts the bytes of the shortest and the longest chain, and runs a chain whose fused variant is wrong."""

import json

import numpy as np
from tinygrad import Tensor

from experiments.bench.tinygrad.capture import capture, captured_work
from experiments.bench.tinygrad.runtime import tensor
from experiments.compiler import fusion
from tests.experiments.compiler.program_tools import measured

ELEMENTS = 64


def traffic(steps):
    """Bytes of each variant of a chain of `steps`, in units of its input and output together."""
    x = tensor(np.ones(ELEMENTS, np.float32), "CPU")
    functions = fusion.variants(fusion.FusionSpec(steps=steps, cut_after=1))
    return [captured_work(capture(function, x)[0]).bytes // (8 * ELEMENTS) for function in functions.values()]


def wrong_rows():
    variants = fusion.variants
    fusion.variants = lambda spec: {
        **variants(spec),
        "fused": lambda x: (variants(spec)["fused"](x) + 1).realize(),
    }
    fusion._reference = lambda spec, x: variants(spec)["contiguous once"](Tensor(x)).numpy()
    return measured(fusion.fusion, fusion.FusionSpec(elements=[ELEMENTS]))


if __name__ == "__main__":
    by_length = {steps: traffic(steps) for steps in (2, len(fusion.CHAIN))}
    print(json.dumps({"traffic": by_length, "wrong": wrong_rows()}))
