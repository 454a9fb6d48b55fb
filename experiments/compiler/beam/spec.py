"""The parameters of the BEAM experiment: a kernel, its sizes, and the widths of the searches."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from experiments.bench.kernel_search import Optimization
from experiments.bench.spec import MeasuredSpec, Need

KernelName = Literal["matmul", "conv2d", "row_reduce", "column_reduce", "products", "outer_product"]
NumberFormat = Literal["float32", "float16"]
KERNELS: dict[KernelName, str] = {
    "matmul": "matmul a@b",
    "conv2d": "3x3 convolution",
    "row_reduce": "row sum",
    "column_reduce": "column sum",
    "products": "(a@b + a.T@b.T).relu().sum(1)",
    "outer_product": "sum of the outer product of column and row sums",
}
FILTER = 3  # rows and columns of a filter
NOOPT, HEURISTIC = Optimization(optimized=False), Optimization()
BYTES_PER_NUMBER = 32  # bytes for each number of inputs and results, all variants and their check included


class BeamSpec(MeasuredSpec):
    """A kernel, its sizes, and the widths of the searches."""

    kernel: KernelName = Field(
        "matmul", title="Kernel", description="; ".join(f"{one}: {KERNELS[one]}" for one in KERNELS)
    )
    size: list[Annotated[int, Field(ge=4, le=8192)]] = Field(
        [256],
        min_length=1,
        max_length=8,
        title="Sizes n",
        description="n of the n x n matrices; for conv2d: width and height of an image in pixels",
    )
    widths: list[Annotated[int, Field(ge=1, le=32)]] = Field(
        [1, 2],
        min_length=1,
        max_length=6,
        title="BEAM widths",
        description="candidates that each round keeps: a wider search tries more and takes longer",
    )
    search_budget_s: float = Field(
        60,
        ge=0.5,
        le=3600,
        title="Budget per search [s]",
        description="a search that takes longer is stopped, and its best kernel so far is timed",
    )
    dtype: NumberFormat = Field("float32", title="Number format", description="float16 is for matmul and conv2d only")
    images: int = Field(4, ge=1, le=256, title="Images", description="batch size of conv2d")
    channels: int = Field(16, ge=1, le=512, title="Channels", description="channels of the images of conv2d")
    filters: int = Field(32, ge=1, le=512, title="Filters", description="filters of conv2d, each 3 x 3")

    @model_validator(mode="after")
    def _float16_does_not_overflow(self) -> "BeamSpec":
        if self.dtype == "float16" and self.kernel not in ("matmul", "conv2d"):
            raise ValueError(f"dtype: float16 overflows in the sums of {self.kernel}; give float32")
        return self

    @property
    def variants(self) -> list[Optimization]:
        """Unoptimized, the heuristic, and a search of each width."""
        return [NOOPT, HEURISTIC, *(Optimization(width) for width in dict.fromkeys(self.widths))]

    def need(self) -> Need:
        """Inputs in numpy and on the device, a result of every variant, the reference and its check in float64."""
        n = max(self.size)
        if self.kernel == "conv2d":
            pixels = self.images * (self.channels + self.filters) * n * n
            numbers = pixels + self.filters * self.channels * FILTER**2
            return Need(
                BYTES_PER_NUMBER * numbers,
                f"{self.images} images of {n}x{n}, {numbers:,} numbers, {BYTES_PER_NUMBER} bytes each,",
            )
        matrices = 1 if self.kernel in ("row_reduce", "column_reduce", "outer_product") else 3
        what = f"{matrices} matrices of {n}x{n}" if matrices > 1 else f"a matrix of {n}x{n}"
        return Need(BYTES_PER_NUMBER * matrices * n * n, f"{what}, {BYTES_PER_NUMBER} bytes a number,")
