"""The ways to serve calls whose shapes change, all by one rule: which input a shape gets, and whose program runs."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from experiments.bench.arrays import Array
from experiments.bench.tinygrad.runtime import stored, tensor, without_cuda_graph
from experiments.compiler.shapes.shape import Shape, StrategyName, numbers

SEED = 2


@dataclass(frozen=True)
class Served:
    """What a strategy gives a call of one shape: its input, how many rows of it are computed, its program."""

    input: Any
    rows: int
    program: Hashable  # calls of the same program share a TinyJit; None runs without one
    symbolic: bool = False  # its batch is a variable


class Strategy:
    """One way to serve calls of `function` whose shapes change; its inputs are on the `device` beforehand."""

    def __init__(self, function: Callable[[Any], Any], served: dict[Shape, Served], device: str) -> None:
        from tinygrad import TinyJit

        self.function, self._served, self._device = function, served, device
        programs = {one.program for one in served.values() if one.program is not None}
        self._jits = {program: TinyJit(function) for program in programs}

    def __call__(self, shape: Shape) -> Any:
        """Runs the call of this shape; a program's first call is eager, its second captures, later ones replay."""
        one, jit = self._served[shape], self.jit_of(shape)
        if jit is None:
            return self.function(one.input)
        if jit.captured is None and one.symbolic:
            with without_cuda_graph(self._device):
                return jit(one.input)
        return jit(one.input)

    def result(self, shape: Shape, output: Shape) -> Array:
        """The result of one call as an array of the shape `output`, without the rows that were padded."""
        return stored(self(shape))[: numbers(output)].reshape(output)

    def input_of(self, shape: Shape) -> Any:
        """The tensor that a call of this shape is given."""
        return self._served[shape].input

    def jit_of(self, shape: Shape) -> Any:
        """The TinyJit that serves this shape; None without one."""
        return self._jits.get(self._served[shape].program)

    def wasted(self, shape: Shape) -> float:
        """The fraction of the computed rows that are padding."""
        return 1 - shape[0] / self._served[shape].rows

    @property
    def captures(self) -> int:
        """Programs captured so far."""
        return sum(jit.captured is not None for jit in self._jits.values())


def drawn(shape: Shape) -> Array:
    """Seeded float32 values of this shape."""
    return np.random.default_rng([SEED, *shape]).standard_normal(shape, dtype=np.float32)


def strategy(
    name: StrategyName, function: Callable[[Any], Any], shapes: Sequence[Shape], buckets: Sequence[int], device: str
) -> Strategy:
    """The strategy called `name` for these shapes, every input in the form that it wants.

    Only the batch, the first size, is symbolic or padded: shapes that differ in another size have programs of
    their own. A symbolic call reads a view, made once, of a buffer that holds the largest batch.
    """
    served = {}
    for shape in shapes:
        match name:
            case "eager":
                served[shape] = _as_it_is(shape, device, None)
            case "one jit per shape":
                served[shape] = _as_it_is(shape, device, shape)
            case "symbolic batch":
                served[shape] = _symbolic(shape, shapes, device)
            case "pad to bucket":
                served[shape] = _padded(shape, buckets, device)
    return Strategy(function, served, device)


def _as_it_is(shape: Shape, device: str, program: Hashable) -> Served:
    return Served(tensor(drawn(shape), device), shape[0], program)


def _padded(shape: Shape, buckets: Sequence[int], device: str) -> Served:
    rows = next(size for size in buckets if size >= shape[0])
    return Served(tensor(_with_rows(drawn(shape), rows), device), rows, (rows, *shape[1:]))


def _symbolic(shape: Shape, shapes: Sequence[Shape], device: str) -> Served:
    from tinygrad import Variable

    most = max(2, *(one[0] for one in shapes))  # a variable needs at least two values
    full = tensor(_with_rows(drawn(shape), most), device)
    return Served(full[: Variable("batch", 1, most).bind(shape[0])], shape[0], shape[1:], symbolic=True)


def _with_rows(array: Array, rows: int) -> Array:
    return np.concatenate([array, np.zeros((rows - len(array), *array.shape[1:]), array.dtype)])
