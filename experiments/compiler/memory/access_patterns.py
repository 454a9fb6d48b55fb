"""Access patterns over a matrix in memory, each with a numpy reference, its useful bytes and its explanation.

Useful bytes are the input bytes that the result depends on, read once, and the bytes of the result, written once; an
index counts as read. The unused rest of a cache line is not useful.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

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
STRIDE = 16  # rows or columns; along a row one float32 of each 64-byte cache line
GATHER_STRIDE = 4  # one element in this many is gathered
LINE_BYTES = 64
MatrixShape = tuple[int, int]


@dataclass(frozen=True)
class AccessPattern:
    """A function of realized tensors with one access pattern; shapes are (rows, columns)."""

    function: Callable[..., Any]
    sample: Callable[[MatrixShape], tuple[Array, ...]]
    reference: Callable[..., Array]
    useful_bytes: Callable[[MatrixShape], int]
    why: str
    why_on_gpu: str = ""  # for devices whose neighboring work items read together; `why` if empty

    def reason(self, shape: MatrixShape, gpu: bool = False) -> str:
        """The explanation of its speed, with the distances of this shape."""
        why = self.why_on_gpu if gpu and self.why_on_gpu else self.why
        return why.format(row=f"{4 * shape[1]:,} bytes", share=f"{4 * STRIDE} bytes")


@functools.lru_cache(maxsize=1)
def _matrix(shape: MatrixShape) -> Array:
    import numpy as np

    return np.random.default_rng(SEED).standard_normal(shape, dtype=np.float32)


def _one_matrix(shape: MatrixShape) -> tuple[Array, ...]:
    return (_matrix(shape),)


def _two_square(shape: MatrixShape) -> tuple[Array, ...]:
    import numpy as np

    rng = np.random.default_rng(SEED)
    n = shape[1]
    return tuple(rng.standard_normal((n, n), dtype=np.float32) for _ in range(2))


def _gathered(shape: MatrixShape, shuffle: bool) -> tuple[Array, ...]:
    import numpy as np

    count = shape[0] * shape[1]
    index = np.random.default_rng(SEED).permutation(count) if shuffle else np.arange(count)
    return _matrix(shape), index[: max(1, count // GATHER_STRIDE)].astype(np.int32)


def _gather(x: Any, index: Any) -> Any:
    from tinygrad import Context

    with Context(SPLIT_REDUCEOP=0):  # otherwise the gather may be split into two kernels
        return x.flatten()[index].realize()


def _matrix_bytes(shape: MatrixShape) -> int:
    return 4 * shape[0] * shape[1]


def _strided_bytes(shape: MatrixShape, axis: int) -> int:
    return 4 * -(-shape[axis] // STRIDE) * shape[1 - axis]


PATTERNS: dict[PatternName, AccessPattern] = {
    "copy": AccessPattern(
        function=lambda x: (x + 1).realize(),
        sample=_one_matrix,
        reference=lambda x: x.astype("float64") + 1,
        useful_bytes=lambda shape: 2 * _matrix_bytes(shape),
        why="the baseline: every element is read and written once, in memory order",
    ),
    "row_sum": AccessPattern(
        function=lambda x: x.sum(1).realize(),
        sample=_one_matrix,
        reference=lambda x: x.sum(1, dtype="float64"),
        useful_bytes=lambda shape: _matrix_bytes(shape) + 4 * shape[0],
        why="a row is contiguous in memory: every cache line is used completely",
        why_on_gpu="work items that sum one row each read addresses {row} apart, each in another cache line",
    ),
    "column_sum": AccessPattern(
        function=lambda x: x.sum(0).realize(),
        sample=_one_matrix,
        reference=lambda x: x.sum(0, dtype="float64"),
        useful_bytes=lambda shape: _matrix_bytes(shape) + 4 * shape[1],
        why="the elements of a column are {row} apart, each in another cache line: summing a few columns at a time "
        "uses a part of every line, which must be fetched again for the next columns",
        why_on_gpu="the elements of a column are {row} apart, but neighboring work items sum neighboring columns and "
        "use every cache line together",
    ),
    "full_sum": AccessPattern(
        function=lambda x: x.sum().realize(),
        sample=_one_matrix,
        reference=lambda x: x.sum(dtype="float64"),
        useful_bytes=lambda shape: _matrix_bytes(shape) + 4,
        why="everything is read in memory order, in a few kernels of partial sums",
    ),
    "transpose": AccessPattern(
        function=lambda x: x.T.contiguous().realize(),
        sample=_one_matrix,
        reference=lambda x: x.T.astype("float64"),
        useful_bytes=lambda shape: 2 * _matrix_bytes(shape),
        why="reads or writes go in steps of {row}: a few of the 16 elements of a cache line are used before it must "
        "be fetched again for the others",
        why_on_gpu="reads or writes go in steps of {row}; a cache line is used completely where neighboring work items "
        "share it in time",
    ),
    "flip": AccessPattern(
        function=lambda x: x.flip(1).contiguous().realize(),
        sample=_one_matrix,
        reference=lambda x: x[:, ::-1].astype("float64"),
        useful_bytes=lambda shape: 2 * _matrix_bytes(shape),
        why="backwards, but neighbors stay neighbors: every cache line is used completely",
    ),
    "strided_rows": AccessPattern(
        function=lambda x: x[::STRIDE].contiguous().realize(),
        sample=_one_matrix,
        reference=lambda x: x[::STRIDE].astype("float64"),
        useful_bytes=lambda shape: 2 * _strided_bytes(shape, 0),
        why=f"every {STRIDE}th row, completely: every byte of a line is used, and this part of the matrix may fit "
        "in a cache that is too small for the copy",
    ),
    "strided_columns": AccessPattern(
        function=lambda x: x[:, ::STRIDE].contiguous().realize(),
        sample=_one_matrix,
        reference=lambda x: x[:, ::STRIDE].astype("float64"),
        useful_bytes=lambda shape: 2 * _strided_bytes(shape, 1),
        why=f"one element every {{share}}: each loads a cache line of {LINE_BYTES} bytes, of which 4 are used",
    ),
    "gather_sequential": AccessPattern(
        function=_gather,
        sample=lambda shape: _gathered(shape, shuffle=False),
        reference=lambda x, index: x.ravel()[index].astype("float64"),
        useful_bytes=lambda shape: 12 * max(1, _matrix_bytes(shape) // 4 // GATHER_STRIDE),
        why="the indices are read from memory, but are consecutive: every cache line is used completely",
    ),
    "gather_random": AccessPattern(
        function=_gather,
        sample=lambda shape: _gathered(shape, shuffle=True),
        reference=lambda x, index: x.ravel()[index].astype("float64"),
        useful_bytes=lambda shape: 12 * max(1, _matrix_bytes(shape) // 4 // GATHER_STRIDE),
        why=f"the indices are random: each element loads a cache line of {LINE_BYTES} bytes, of which 4 are used, "
        "and nothing can be prefetched",
    ),
    "matmul": AccessPattern(
        function=lambda a, b: (a @ b).realize(),
        sample=_two_square,
        reference=lambda a, b: a.astype("float64") @ b.astype("float64"),
        useful_bytes=lambda shape: 12 * shape[1] ** 2,
        why="the second operand is read down its columns, {row} from one element to the next: where that is a power of "
        "two, they all map to the same few cache sets and evict one another",
    ),
    "matmul_transposed": AccessPattern(
        function=lambda a, b: (a @ b.T).realize(),
        sample=_two_square,
        reference=lambda a, b: a.astype("float64") @ b.T.astype("float64"),
        useful_bytes=lambda shape: 12 * shape[1] ** 2,
        why="both operands are read along their rows, in memory order",
    ),
}
MATMULS: tuple[PatternName, ...] = ("matmul", "matmul_transposed")
