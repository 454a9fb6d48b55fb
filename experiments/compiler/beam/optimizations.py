"""Describes the kernel optimizations of tinygrad 0.14.0 in words."""

import re

OPTIMIZATION = re.compile(r"([A-Z]+)\((\w+),(\([^)]*\)|[^)]*)\)")
DESCRIPTIONS = {
    "UPCAST": "{amount} neighbors of axis {axis} at once in registers",
    "UNROLL": "{amount} steps of sum {axis} unrolled",
    "LOCAL": "work groups of {amount} along axis {axis}",
    "GROUP": "{amount} work items share sum {axis}, taking turns",
    "GROUPTOP": "{amount} work items share sum {axis}, one chunk each",
    "THREAD": "axis {axis} in {amount} chunks for threads",
    "TC": "tensor cores",
    "SWAP": "axes {axis} and {amount} swapped",
    "PADTO": "axis {axis} padded to a multiple of {amount}",
    "NOLOCALS": "no work groups",
}
NONE = "none"


def in_words(opts: str) -> str:
    """`UPCAST(0,4) UNROLL(0,0)`: 4 neighbors of axis 0 at once in registers; all steps of sum 0 unrolled."""
    phrases = [
        DESCRIPTIONS.get(name, f"{name.lower()} {{axis}} {{amount}}").format(
            axis=axis, amount="all" if amount == "0" and name != "SWAP" else amount
        )
        for name, axis, amount in OPTIMIZATION.findall(opts)
    ]
    return "; ".join(phrases) or NONE
