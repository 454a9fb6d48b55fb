"""The parameters of the shapes experiment: an operation, shapes, buckets, and the stream of calls."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, field_validator
from pydantic_core.core_schema import ValidationInfo

from experiments.bench.spec import MeasuredSpec, Need
from experiments.compiler.shapes.operations import check_shapes, output_shape
from experiments.compiler.shapes.shape import Shape, check_buckets, numbers, shape_of, stream, text_of

ShapeText = Annotated[str, AfterValidator(lambda text: text_of(shape_of(text)))]


class ShapesSpec(MeasuredSpec):
    """An operation, the shapes that come, and the stream of calls in which they come."""

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
        description="of the input, batch first, the most frequent one first: 1x784 or, for conv2d, 1x3x32x32",
    )
    buckets: list[Annotated[int, Field(ge=1, le=8192)]] = Field(
        [4, 32],
        min_length=1,
        max_length=12,
        title="Buckets",
        description="batch sizes that `pad to bucket` fills up to, rising, each a multiple of the one before",
    )
    calls: int = Field(100, ge=4, le=2000, title="Calls", description="length of the stream")
    exponent: float = Field(
        1.0,
        ge=0,
        le=4,
        title="Zipf exponent",
        description="the k-th shape of the list comes with a probability proportional to 1 / k to this power",
    )
    seed: int = Field(1, ge=0, le=2**31 - 1, title="Seed", description="of the order of the calls")
    rounds: int = Field(
        3,
        ge=1,
        le=20,
        title="Rounds",
        description="in each of them every strategy runs through the whole stream once, from cold, in another order",
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
        once = list(dict.fromkeys(shapes))
        if len(once) < 2:
            raise ValueError(f"{once[0]} alone is not allowed; give at least two different shapes")
        if "operation" in info.data:
            check_shapes(info.data["operation"], [shape_of(text) for text in once])
        return once

    @field_validator("buckets")
    @classmethod
    def _rise_evenly(cls, buckets: list[int], info: ValidationInfo) -> list[int]:
        largest = max((shape_of(text)[0] for text in info.data.get("shapes", ())), default=0)
        check_buckets(buckets, largest)
        return buckets

    @property
    def grid(self) -> list[Shape]:
        """The shapes, each once, the most frequent one first."""
        return [shape_of(text) for text in self.shapes]

    @property
    def sequence(self) -> list[Shape]:
        """The calls in the order in which they come."""
        return stream(self.grid, self.calls, self.exponent, self.seed)

    def need(self) -> Need:
        """Inputs and results of four strategies at the largest bucket, here and in their cold processes; weights."""
        most = self.buckets[-1]
        padded = [(most, *shape[1:]) for shape in self.grid]
        each = sum(numbers(shape) + numbers(output_shape(self.operation, shape)) for shape in padded)
        weight = self.grid[0][1] ** 2 if self.operation == "matmul" else 0
        shapes = f"{len(padded)} shapes padded to batch {most}"
        return Need(48 * each + 24 * weight, f"{shapes}, the largest {text_of(max(padded, key=numbers))}, four ways")
