"""`TINYLAB_SMALL=1`: each benchmark runs once in small, to show that it still starts. Its numbers then mean nothing."""

import os
from typing import TypeVar

T = TypeVar("T")

SMALL = os.environ.get("TINYLAB_SMALL") == "1"


def size(full: T, small: T) -> T:
    """`small` where the benchmark runs in small, else `full`; its child processes inherit the choice."""
    return small if SMALL else full
