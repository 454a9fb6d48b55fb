"""The pitfalls of TinyJit: the mistake, its fix, and the source that reports it. Imports no tinygrad."""

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
    """One mistake with TinyJit: a silent one gives a wrong result, an error raises, a timing one gives a wrong time."""

    kind: PitfallKind
    mistake: str
    fix: str
    source: str


@dataclass(frozen=True)
class PitfallOutcome:
    """What a pitfall gave on this device: `safe` if it did not occur, `fix_works` if its fix gave the expected result.

    `claimed_ms` is the time by the flawed measurement and `true_ms` the correct one; timing pitfalls only.
    """

    expected: str
    observed: str
    fixed: str
    safe: bool
    fix_works: bool
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
        "a method decorated in the class body is used by two instances",
        "self.forward = TinyJit(self.forward)  # in __init__",
        FOOTGUNS,
    ),
    "vector_length": Pitfall(
        "silent",
        "the input is a vector of another length: its shape is not checked",
        "jits[x.shape](x)  # one TinyJit per shape",
        "found by this experiment: engine/jit.py compares views, and a whole vector has none",
    ),
    "nested_captured": Pitfall(
        "silent",
        "a captured TinyJit is called inside another",
        "TinyJit(lambda x: plain(x) + 1)  # one JIT around everything",
        "found by this experiment: an inner replay is not part of the outer capture",
    ),
    "shape_mismatch": Pitfall(
        "error",
        "the input is a matrix of another shape",
        "jits[x.shape](x)  # one TinyJit per shape",
        FOOTGUNS,
    ),
    "duplicate_inputs": Pitfall("error", "the same tensor is passed twice", "f(x, x.clone())", FOOTGUNS),
    "nested": Pitfall(
        "error",
        "a new TinyJit is called inside another",
        "TinyJit(lambda x: plain(x) + 1)  # one JIT around everything",
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
        "inputs are generated lazily, so their generation is timed too",
        "x = Tensor.rand(n, n).realize()  # before the clock starts",
        "tinygrad documentation, laziness",
    ),
    "empty_loop": Pitfall(
        "timing",
        "a loop realizes the same expression again and again",
        "for _ in range(5): (x @ w).realize()  # a new expression each time",
        "the memory part of the tinygrad course",
    ),
    "unsynchronised": Pitfall(
        "timing",
        "the clock stops when the call returns",
        "Device[device].synchronize()  # before the clock stops",
        "tinygrad documentation, asynchronous execution",
    ),
}
