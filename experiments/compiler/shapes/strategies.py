"""The strategies for changing shapes: each maps a shape to a prepared input and to the program that runs it."""

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from experiments.bench.arrays import Array
from experiments.bench.tinygrad.runtime import stored, tensor, without_cuda_graph
from experiments.compiler.shapes.operations import TensorShape
from experiments.compiler.shapes.spec import StrategyName

SEED = 2


@dataclass(frozen=True)
class PreparedCall:
    """What a strategy runs for one shape: the input, the number of computed rows, and the program."""

    input: Any
    rows: int
    program: Hashable  # calls with the same program share a TinyJit; None runs eagerly
    symbolic: bool = False  # the batch is a tinygrad Variable


class Strategy:
    """Runs calls of `function` with changing shapes; all inputs are on `device` beforehand."""

    def __init__(self, function: Callable[[Any], Any], prepared: dict[TensorShape, PreparedCall], device: str) -> None:
        from tinygrad import TinyJit

        self.function, self._prepared, self._device = function, prepared, device
        programs = {call.program for call in prepared.values() if call.program is not None}
        self._jits = {program: TinyJit(function) for program in programs}

    def __call__(self, shape: TensorShape) -> Any:
        """Runs one call of this shape; a program's first call is eager, the second captures, later ones replay."""
        call, jit = self._prepared[shape], self.jit_of(shape)
        if jit is None:
            return self.function(call.input)
        if jit.captured is None and call.symbolic:
            with without_cuda_graph(self._device):
                return jit(call.input)
        return jit(call.input)

    def result(self, shape: TensorShape, output: TensorShape) -> Array:
        """The result of one call as an array of shape `output`, padding rows removed."""
        return stored(self(shape))[: math.prod(output)].reshape(output)

    def input_of(self, shape: TensorShape) -> Any:
        """The input tensor of calls of this shape."""
        return self._prepared[shape].input

    def jit_of(self, shape: TensorShape) -> Any:
        """The TinyJit that runs this shape; None if eager."""
        return self._jits.get(self._prepared[shape].program)

    def wasted(self, shape: TensorShape) -> float:
        """The fraction of the computed rows that are padding."""
        return 1 - shape[0] / self._prepared[shape].rows

    @property
    def captures(self) -> int:
        """Programs captured so far."""
        return sum(jit.captured is not None for jit in self._jits.values())


def sample_input(shape: TensorShape) -> Array:
    """Seeded normal float32 values of this shape."""
    return np.random.default_rng([SEED, *shape]).standard_normal(shape, dtype=np.float32)


def strategy(
    name: StrategyName,
    function: Callable[[Any], Any],
    shapes: Sequence[TensorShape],
    buckets: Sequence[int],
    device: str,
) -> Strategy:
    """The strategy `name` for these shapes, with every input in the form that the strategy requires.

    Only the batch, the first size, is symbolic or padded: shapes that differ in another size get separate
    programs. A symbolic call reads a view, created once, of a buffer that holds the largest batch.
    """
    prepared = {}
    for shape in shapes:
        match name:
            case "eager":
                prepared[shape] = _unchanged(shape, device, None)
            case "one jit per shape":
                prepared[shape] = _unchanged(shape, device, shape)
            case "symbolic batch":
                prepared[shape] = _symbolic(shape, shapes, device)
            case "pad to bucket":
                prepared[shape] = _padded(shape, buckets, device)
    return Strategy(function, prepared, device)


def _unchanged(shape: TensorShape, device: str, program: Hashable) -> PreparedCall:
    return PreparedCall(tensor(sample_input(shape), device), shape[0], program)


def _padded(shape: TensorShape, buckets: Sequence[int], device: str) -> PreparedCall:
    rows = next(size for size in buckets if size >= shape[0])
    return PreparedCall(tensor(_pad_rows(sample_input(shape), rows), device), rows, (rows, *shape[1:]))


def _symbolic(shape: TensorShape, shapes: Sequence[TensorShape], device: str) -> PreparedCall:
    from tinygrad import Variable

    largest = max(2, *(other[0] for other in shapes))  # a Variable requires at least two values
    full = tensor(_pad_rows(sample_input(shape), largest), device)
    return PreparedCall(full[: Variable("batch", 1, largest).bind(shape[0])], shape[0], shape[1:], symbolic=True)


def _pad_rows(array: Array, rows: int) -> Array:
    return np.concatenate([array, np.zeros((rows - len(array), *array.shape[1:]), array.dtype)])
