"""Runs every strategy on calls of changing shapes and compares the results with numpy."""

import json

import numpy as np

from experiments.compiler.shapes.operations import operation, output_shape
from experiments.compiler.shapes.spec import STRATEGIES
from experiments.compiler.shapes.strategies import sample_input, strategy

SHAPES = {"conv2d": [(1, 3, 6, 6), (1, 3, 8, 8), (2, 3, 6, 6)], "matmul": [(3, 8), (1, 8), (4, 8)]}


def compared(name, shapes, kind):
    """Largest error of a strategy over calls in both orders of the shapes, and its number of captures."""
    chosen = operation(name, shapes[0][1], "CPU")
    calls = strategy(kind, chosen.function, shapes, [2, 4], "CPU")
    errors = []
    for shape in [*shapes, *shapes, *shapes[::-1]]:
        result, expected = calls.result(shape, output_shape(name, shape)), chosen.reference(sample_input(shape))
        assert result.shape == expected.shape
        errors.append(float(np.abs(result - expected).max()))
    return [max(errors), calls.captures]


if __name__ == "__main__":
    print(
        json.dumps(
            {name: {kind: compared(name, shapes, kind) for kind in STRATEGIES} for name, shapes in SHAPES.items()}
        )
    )
