"""Compares every access pattern with numpy, and runs the memory experiment with a pattern that is wrong."""

import dataclasses
import json

from experiments.bench.session import max_abs_error, tolerance
from experiments.compiler.memory.access_patterns import PATTERNS
from experiments.compiler.memory.experiment import ATOL, RTOL, MemorySpec, memory
from experiments.models.functions import tensors
from tests.experiments.compiler.program_tools import measured

SHAPE = (36, 50)


def compared(pattern):
    """Error, tolerance and shape of a pattern's result."""
    arrays = pattern.sample(SHAPE)
    result, expected = pattern.function(*tensors("CPU", *arrays)).numpy(), pattern.reference(*arrays)
    return [max_abs_error(result, expected), tolerance(expected, ATOL, RTOL), list(expected.shape)]


def wrong_rows():
    flipped_rows = dataclasses.replace(PATTERNS["flip"], function=lambda x: x.flip(0).contiguous().realize())
    PATTERNS["flip"] = flipped_rows
    return measured(memory, MemorySpec(rows=16, columns=[16], patterns=["flip"]))


if __name__ == "__main__":
    patterns = {name: compared(pattern) for name, pattern in PATTERNS.items()}
    print(json.dumps({"patterns": patterns, "wrong": wrong_rows()}))
