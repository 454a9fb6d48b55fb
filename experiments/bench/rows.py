"""What a run function yields: rows with the samples behind them."""

from dataclasses import dataclass, field
from typing import Literal

from experiments.bench.columns import Value

SampleKind = Literal["block", "control", "single"]


@dataclass(frozen=True)
class Sample:
    """Timings of one kind behind a row, in seconds per call."""

    kind: SampleKind
    inner: int
    seconds: list[float]


@dataclass(frozen=True)
class Row:
    """One variant at one point of the grid, measured: a flat record and the raw samples behind it."""

    values: dict[str, Value]
    samples: list[Sample] = field(default_factory=list)
