"""Ways of walking through a matrix in memory, each with its twin in numpy, its useful bytes, and why it is slow.

Useful bytes are those that the result needs, read once, and those of the result, written once; an index counts as
read. What a cache line brings along unasked is not useful: that is the point.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from experiments.bench.arrays import Array
from experiments.models.functions import SEED

PatternName = Literal[
    "copy",
    "row_sum",
    "column_sum",
    "full_sum",
    "transpose",
    "flip",
    "strided_rows",
    "strided_columns",
    "gather_sequential",
    "gather_random",
    "matmul",
    "matmul_transposed",
]
STRIDE = 16  # rows or columns from one taken to the next: of a row one float32 of each cache line of 64 bytes
GATHER_STRIDE = 4  # one element in this many is gathered
LINE_BYTES = 64
MatrixShape = tuple[int, int]


@dataclass(frozen=True)
class AccessPattern:
    """A function of realised tensors that walks through a matrix in its own way; shapes are (rows, columns)."""

    function: Callable[..., Any]
    sample: Callable[[MatrixShape], tuple[Array, ...]]
    reference: Callable[..., Array]
    useful_bytes: Callable[[MatrixShape], int]
    why: str
    why_on_gpu: str = ""  # where neighbouring work items read at once; the same as on one core if empty

    def reason(self, shape: MatrixShape, gpu: bool = False) -> str:
        """Why it is as fast as it is, in words, with the distances of this shape."""
        why = self.why_on_gpu if gpu and self.why_on_gpu else self.why
        return why.format(row=f"{4 * shape[1]:,} bytes", share=f"{4 * STRIDE} bytes")


@functools.lru_cache(maxsize=1)
def _matrix(shape: MatrixShape) -> Array:
    return np.random.default_rng(SEED).standard_normal(shape, dtype=np.float32)


def _one(shape: MatrixShape) -> tuple[Array, ...]:
    return (_matrix(shape),)


def _square(shape: MatrixShape) -> tuple[Array, ...]:
    rng = np.random.default_rng(SEED)
    n = shape[1]
    return tuple(rng.standard_normal((n, n), dtype=np.float32) for _ in range(2))


def _gathered(shape: MatrixShape, shuffle: bool) -> tuple[Array, ...]:
    count = shape[0] * shape[1]
    index = np.random.default_rng(SEED).permutation(count) if shuffle else np.arange(count)
    return _matrix(shape), index[: max(1, count // GATHER_STRIDE)].astype(np.int32)


def _gather(x: Any, index: Any) -> Any:
    from tinygrad import Context

    with Context(SPLIT_REDUCEOP=0):  # else the search for the elements may be split over two kernels
        return x.flatten()[index].realize()


def _all(shape: MatrixShape) -> int:
    return 4 * shape[0] * shape[1]


def _taken(shape: MatrixShape, axis: int) -> int:
    return 4 * -(-shape[axis] // STRIDE) * shape[1 - axis]


PATTERNS: dict[PatternName, AccessPattern] = {
    "copy": AccessPattern(
        function=lambda x: (x + 1).realize(),
        sample=_one,
        reference=lambda x: x.astype(np.float64) + 1,
        useful_bytes=lambda shape: 2 * _all(shape),
        why="the yardstick: every element read and written once, in the order of memory",
    ),
    "row_sum": AccessPattern(
        function=lambda x: x.sum(1).realize(),
        sample=_one,
        reference=lambda x: x.sum(1, dtype=np.float64),
        useful_bytes=lambda shape: _all(shape) + 4 * shape[0],
        why="a row lies together in memory: every cache line is used whole",
        why_on_gpu="work items that take a row each read {row} apart, each from another cache line",
    ),
    "column_sum": AccessPattern(
        function=lambda x: x.sum(0).realize(),
        sample=_one,
        reference=lambda x: x.sum(0, dtype=np.float64),
        useful_bytes=lambda shape: _all(shape) + 4 * shape[1],
        why="the numbers of a column are {row} apart, each in another cache line: going down a few columns at a time "
        "uses a part of every line, which must be fetched again for the next columns",
        why_on_gpu="the numbers of a column are {row} apart, but neighbouring work items take neighbouring columns and "
        "use every cache line together",
    ),
    "full_sum": AccessPattern(
        function=lambda x: x.sum().realize(),
        sample=_one,
        reference=lambda x: np.asarray(x.sum(dtype=np.float64)),
        useful_bytes=lambda shape: _all(shape) + 4,
        why="everything is read in the order of memory, in a few kernels of partial sums",
    ),
    "transpose": AccessPattern(
        function=lambda x: x.T.contiguous().realize(),
        sample=_one,
        reference=lambda x: x.T.astype(np.float64),
        useful_bytes=lambda shape: 2 * _all(shape),
        why="one side of it goes in steps of {row}: of the 16 numbers of a cache line a few are used before it must "
        "be fetched again for the others",
        why_on_gpu="one side of it goes in steps of {row}; a cache line is used whole where neighbouring work items "
        "share it in time",
    ),
    "flip": AccessPattern(
        function=lambda x: x.flip(1).contiguous().realize(),
        sample=_one,
        reference=lambda x: x[:, ::-1].astype(np.float64),
        useful_bytes=lambda shape: 2 * _all(shape),
        why="backwards, but neighbours stay neighbours: every cache line is used whole",
    ),
    "strided_rows": AccessPattern(
        function=lambda x: x[::STRIDE].contiguous().realize(),
        sample=_one,
        reference=lambda x: x[::STRIDE].astype(np.float64),
        useful_bytes=lambda shape: 2 * _taken(shape, 0),
        why=f"every {STRIDE}th row, whole: every byte of a line is used, and so small a part of the matrix may lie in "
        "a cache that is too small for the copy",
    ),
    "strided_columns": AccessPattern(
        function=lambda x: x[:, ::STRIDE].contiguous().realize(),
        sample=_one,
        reference=lambda x: x[:, ::STRIDE].astype(np.float64),
        useful_bytes=lambda shape: 2 * _taken(shape, 1),
        why=f"one number every {{share}}: each brings a cache line of {LINE_BYTES} bytes, of which 4 are used",
    ),
    "gather_sequential": AccessPattern(
        function=_gather,
        sample=lambda shape: _gathered(shape, shuffle=False),
        reference=lambda x, index: x.ravel()[index].astype(np.float64),
        useful_bytes=lambda shape: 12 * max(1, _all(shape) // 4 // GATHER_STRIDE),
        why="places are read from a list, but they follow one another: every cache line is used whole",
    ),
    "gather_random": AccessPattern(
        function=_gather,
        sample=lambda shape: _gathered(shape, shuffle=True),
        reference=lambda x, index: x.ravel()[index].astype(np.float64),
        useful_bytes=lambda shape: 12 * max(1, _all(shape) // 4 // GATHER_STRIDE),
        why=f"the next place is anywhere: each number brings a cache line of {LINE_BYTES} bytes, of which 4 are used, "
        "and nothing can be fetched ahead",
    ),
    "matmul": AccessPattern(
        function=lambda a, b: (a @ b).realize(),
        sample=_square,
        reference=lambda a, b: a.astype(np.float64) @ b.astype(np.float64),
        useful_bytes=lambda shape: 12 * shape[1] ** 2,
        why="the second operand is read down its columns, {row} from one number to the next: where that is a power of "
        "two, they all fall into the same few places of the cache and push one another out",
    ),
    "matmul_transposed": AccessPattern(
        function=lambda a, b: (a @ b.T).realize(),
        sample=_square,
        reference=lambda a, b: a.astype(np.float64) @ b.T.astype(np.float64),
        useful_bytes=lambda shape: 12 * shape[1] ** 2,
        why="both operands are read along their rows, in the order of memory",
    ),
}
MATMULS: tuple[PatternName, ...] = ("matmul", "matmul_transposed")
