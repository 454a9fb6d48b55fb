"""The traps of TinyJit: what one does, the line that mends it, and where it was told. Imports no tinygrad."""

from dataclasses import dataclass
from typing import Literal

PitfallKind = Literal["silent", "error", "timing"]
PitfallName = Literal[
    "output_buffer",
    "constant",
    "branch",
    "shared_method",
    "vector_length",
    "nested_captured",
    "shape_mismatch",
    "duplicate_inputs",
    "nested",
    "item_inside",
    "unrealised_inputs",
    "empty_loop",
    "unsynchronised",
]
FOOTGUNS = "tinygrad test_jit_footguns"


@dataclass(frozen=True)
class Pitfall:
    """One mistake with a JIT: silent ones give a wrong result, errors raise, timing ones give a wrong time."""

    kind: PitfallKind
    trap: str
    mend: str
    source: str


@dataclass(frozen=True)
class PitfallOutcome:
    """What became of one trap; `safe` where it did not show, `right` where its mend gave the expectation."""

    expected: str
    observed: str
    mended: str
    safe: bool
    right: bool
    claimed_ms: float | None = None
    true_ms: float | None = None


PITFALLS: dict[PitfallName, Pitfall] = {
    "output_buffer": Pitfall(
        "silent",
        "an output is read after the next call",
        "kept = f(x).clone().realize()",
        "tinygrad issue 7020",
    ),
    "constant": Pitfall(
        "silent",
        "a Python number is an argument and changes",
        "f(x, Tensor([3.0]).realize())",
        "tinygrad issue 10956",
    ),
    "branch": Pitfall(
        "silent",
        "a Python condition inside the function changes",
        "up.where(x + 1, x - 1)  # up is a tensor",
        FOOTGUNS,
    ),
    "shared_method": Pitfall(
        "silent",
        "a method decorated in the class serves two instances",
        "self.forward = TinyJit(self.forward)  # in __init__",
        FOOTGUNS,
    ),
    "vector_length": Pitfall(
        "silent",
        "a vector of another length comes in: its shape is not checked",
        "jits[x.shape](x)  # one TinyJit per shape",
        "seen with this experiment: engine/jit.py compares views, a whole vector has none",
    ),
    "nested_captured": Pitfall(
        "silent",
        "a captured TinyJit is called inside another",
        "TinyJit(lambda x: plain(x) + 1)  # one JIT, around all of it",
        "seen with this experiment: an inner replay is no part of the outer capture",
    ),
    "shape_mismatch": Pitfall(
        "error",
        "a matrix of another shape comes in",
        "jits[x.shape](x)  # one TinyJit per shape",
        FOOTGUNS,
    ),
    "duplicate_inputs": Pitfall("error", "one tensor is given twice", "f(x, x.clone())", FOOTGUNS),
    "nested": Pitfall(
        "error",
        "a new TinyJit is called inside another",
        "TinyJit(lambda x: plain(x) + 1)  # one JIT, around all of it",
        FOOTGUNS,
    ),
    "item_inside": Pitfall(
        "error",
        "a value is read inside the function",
        "x / x.sum()  # stays a tensor; read values outside",
        FOOTGUNS,
    ),
    "unrealised_inputs": Pitfall(
        "timing",
        "inputs are drawn lazily, so the clock counts their drawing",
        "x = Tensor.rand(n, n).realize()  # before the clock starts",
        "tinygrad documentation, laziness",
    ),
    "empty_loop": Pitfall(
        "timing",
        "a loop realises one expression again and again",
        "for _ in range(5): (x @ w).realize()  # a new expression each time",
        "the memory part of the tinygrad course",
    ),
    "unsynchronised": Pitfall(
        "timing",
        "the clock stops when the call returns",
        "Device[device].synchronize()  # before the clock stops",
        "tinygrad documentation, times without a wait",
    ),
}
