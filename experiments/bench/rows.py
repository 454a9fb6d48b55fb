"""Rows that a run function yields, each with its samples."""

from dataclasses import dataclass, field
from typing import Literal

from experiments.bench.columns import Value

SampleKind = Literal["block", "control", "single"]


@dataclass(frozen=True)
class Sample:
    """A row's timings of one kind, in seconds per call; each is the mean of `inner` calls."""

    kind: SampleKind
    inner: int
    seconds: list[float]


@dataclass(frozen=True)
class Row:
    """One variant measured at one grid point: a flat record and its raw samples."""

    values: dict[str, Value]
    samples: list[Sample] = field(default_factory=list)
