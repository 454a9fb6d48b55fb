"""Python functions as models: each with seeded inputs and a float64 reference in numpy."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from experiments.bench.arrays import Array

SEED = 1


@dataclass(frozen=True)
class FunctionModel:
    """A function of realized tensors; `sample(n)` returns float32 inputs, `reference` computes it in float64."""

    function: Callable[..., Any]
    sample: Callable[[int], tuple[Array, ...]]
    reference: Callable[..., Array]

    def inputs(self, n: int, device: str) -> tuple[Any, ...]:
        """The inputs of size `n`, realized on `device`."""
        return tensors(device, *self.sample(n))


def tensors(device: str, *arrays: Array) -> tuple[Any, ...]:
    """Each array as a realized tensor on `device`."""
    from experiments.bench.tinygrad.runtime import tensor

    return tuple(tensor(array, device) for array in arrays)


def elementwise() -> FunctionModel:
    """(x+y).relu()*2 of two n x n matrices: one fused, memory-bound kernel."""
    import numpy as np

    return FunctionModel(
        function=lambda x, y: ((x + y).relu() * 2).realize(),
        sample=lambda n: _normal(2, n, n),
        reference=lambda x, y: np.maximum(x.astype(np.float64) + y, 0) * 2,
    )


def matmul_chain() -> FunctionModel:
    """(a@b+c).relu().sum() of three n x n matrices: a matrix product and two reductions; the sum reaches millions."""
    import numpy as np

    return FunctionModel(
        function=lambda a, b, c: (a @ b + c).relu().sum().realize(),
        sample=lambda n: _normal(3, n, n),
        reference=lambda a, b, c: np.maximum(a.astype(np.float64) @ b + c, 0).sum(),
    )


def layers(device: str, widths: Sequence[int], relu_last: bool = False) -> FunctionModel:
    """Linear layers with ReLU between them on inputs of n rows, with weights on `device`.

    Weights are scaled so that activations neither vanish nor grow (He initialization).
    """
    import numpy as np

    rng = np.random.default_rng(SEED)
    pairs = list(itertools.pairwise(widths))
    weights = [(rng.standard_normal(pair) * np.sqrt(2 / pair[0])).astype(np.float32) for pair in pairs]
    biases = [(rng.standard_normal(pair[1]) * 0.1).astype(np.float32) for pair in pairs]
    relu = [number < len(pairs) or relu_last for number in range(1, len(pairs) + 1)]
    parameters = list(zip(tensors(device, *weights), tensors(device, *biases), relu, strict=True))

    def function(x: Any) -> Any:
        for weight, bias, rectified in parameters:
            x = x @ weight + bias
            x = x.relu() if rectified else x
        return x.realize()

    def reference(x: Array) -> Array:
        x = x.astype(np.float64)
        for weight, bias, rectified in zip(weights, biases, relu, strict=True):
            x = x @ weight + bias
            x = np.maximum(x, 0) if rectified else x
        return x

    return FunctionModel(function, lambda n: _normal(1, n, widths[0]), reference)


def _normal(count: int, *shape: int) -> tuple[Array, ...]:
    import numpy as np

    rng = np.random.default_rng(SEED)
    return tuple(rng.standard_normal(shape).astype(np.float32) for _ in range(count))
