"""The parameters of the shapes experiment: an operation, its shapes, the buckets, and the stream of calls."""

import itertools
import math
from collections.abc import Sequence
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, Field, field_validator
from pydantic_core.core_schema import ValidationInfo

from experiments.bench.spec import MeasuredSpec, Need
from experiments.compiler.shapes.operations import TensorShape, check_shapes, format_shape, output_shape, parse_shape

StrategyName = Literal["eager", "one jit per shape", "symbolic batch", "pad to bucket"]
STRATEGIES: tuple[StrategyName, ...] = get_args(StrategyName)
EAGER, PER_SHAPE, SYMBOLIC, BUCKET = STRATEGIES
ShapeText = Annotated[str, AfterValidator(lambda text: format_shape(parse_shape(text)))]


class ShapesSpec(MeasuredSpec):
    """An operation, its input shapes, and the stream of calls with these shapes."""

    operation: Literal["conv2d", "matmul", "mlp"] = Field(
        "mlp",
        title="Operation",
        description="conv2d: a weight of 16 x channels x 3 x 3; matmul: a square weight; mlp: two linear layers with "
        "ReLU, features-128-10",
    )
    shapes: list[ShapeText] = Field(
        ["1x784", "4x784", "2x784", "8x784", "16x784", "3x784", "32x784", "11x784"],
        min_length=2,
        max_length=24,
        title="Shapes",
        description="input shapes, batch first, the most frequent one first: 1x784 or, for conv2d, 1x3x32x32",
    )
    buckets: list[Annotated[int, Field(ge=1, le=8192)]] = Field(
        [4, 32],
        min_length=1,
        max_length=12,
        title="Buckets",
        description="batch sizes that `pad to bucket` pads to, ascending, each a multiple of the previous one",
    )
    calls: int = Field(100, ge=4, le=2000, title="Calls", description="length of the stream")
    exponent: float = Field(
        1.0,
        ge=0,
        le=4,
        title="Zipf exponent",
        description="s of the Zipf distribution: the k-th shape of the list has a probability proportional to 1 / k**s",
    )
    seed: int = Field(1, ge=0, le=2**31 - 1, title="Seed", description="random seed of the order of the calls")
    rounds: int = Field(
        3,
        ge=1,
        le=20,
        title="Rounds",
        description="how often every strategy runs the whole stream from a cold start, in a new random order",
    )
    budget_s: float = Field(
        1.5,
        ge=0.1,
        le=600,
        title="Budget per shape [s]",
        description="a shape is done when its intervals are narrow enough or this time is spent; at least 12 blocks",
    )

    @field_validator("shapes")
    @classmethod
    def _fit_the_operation(cls, shapes: list[str], info: ValidationInfo) -> list[str]:
        unique = list(dict.fromkeys(shapes))
        if len(unique) < 2:
            raise ValueError(f"{unique[0]} alone is not allowed; give at least two different shapes")
        if "operation" in info.data:
            check_shapes(info.data["operation"], [parse_shape(text) for text in unique])
        return unique

    @field_validator("buckets")
    @classmethod
    def _ascend(cls, buckets: list[int], info: ValidationInfo) -> list[int]:
        largest = max((parse_shape(text)[0] for text in info.data.get("shapes", ())), default=0)
        check_buckets(buckets, largest)
        return buckets

    @property
    def grid(self) -> list[TensorShape]:
        """The distinct shapes, the most frequent one first."""
        return [parse_shape(text) for text in self.shapes]

    @property
    def sequence(self) -> list[TensorShape]:
        """The shape of each call of the stream, in order."""
        return zipf_stream(self.grid, self.calls, self.exponent, self.seed)

    def need(self) -> Need:
        """Inputs and results of four strategies at the largest bucket, here and in their cold processes; weights."""
        largest = self.buckets[-1]
        padded = [(largest, *shape[1:]) for shape in self.grid]
        each = sum(math.prod(shape) + math.prod(output_shape(self.operation, shape)) for shape in padded)
        weight = self.grid[0][1] ** 2 if self.operation == "matmul" else 0
        shapes = f"{len(padded)} shapes padded to batch {largest}"
        biggest = format_shape(max(padded, key=math.prod))
        return Need(48 * each + 24 * weight, f"{shapes}, the largest {biggest}, four ways")


def check_buckets(buckets: Sequence[int], largest: int) -> None:
    """Raises ValueError unless buckets ascend, each divides the next one, and the last one holds batch `largest`."""
    given = ",".join(map(str, buckets))
    for before, after in itertools.pairwise(buckets):
        if after <= before:
            raise ValueError(f"{given} is not allowed: {after} follows {before}; give ascending sizes")
        if after % before:
            raise ValueError(
                f"{given} is not allowed: {after} is not a multiple of {before}; make each a multiple of the previous"
            )
    if buckets[-1] < largest:
        raise ValueError(f"{given} is not allowed: no bucket holds batch {largest}; the last must be at least that")


def zipf_stream(shapes: Sequence[TensorShape], calls: int, exponent: float, seed: int) -> list[TensorShape]:
    """A seeded sequence of calls: the k-th shape has a probability proportional to 1 / k**exponent (Zipf)."""
    import numpy as np

    weights = np.arange(1, len(shapes) + 1) ** -exponent
    chosen = np.random.default_rng(seed).choice(len(shapes), size=calls, p=weights / weights.sum())
    return [shapes[int(index)] for index in chosen]
