"""What the rewrites experiment is made of: expressions, and rules on tinygrad's graph of operations."""

from collections.abc import Callable
from dataclasses import dataclass
from operator import neg
from typing import Any, Literal, get_args

ExpressionName = Literal[
    "scaled twice",
    "shifted twice",
    "common factor",
    "times one",
    "plus zero",
    "negated twice",
    "times eight",
    "mixture",
]
RuleName = Literal[
    "fold products", "fold sums", "factor out", "drop times one", "drop plus zero", "drop double negation", "shift"
]


@dataclass(frozen=True)
class Expression:
    """What is computed from three arrays of like shape, on tensors and in numpy alike; of integers where it says so."""

    text: str
    of: Callable[[Any, Any, Any], Any]
    integers: bool = False


EXPRESSIONS: dict[ExpressionName, Expression] = {
    "scaled twice": Expression("(x*2)*3", lambda x, y, z: (x * 2) * 3),
    "shifted twice": Expression("((x + 1) + 2) * y", lambda x, y, z: ((x + 1) + 2) * y),
    "common factor": Expression("x*z + y*z", lambda x, y, z: x * z + y * z),
    "times one": Expression("x*1 + y", lambda x, y, z: x * 1 + y),
    "plus zero": Expression("(x + 0) * y", lambda x, y, z: (x + 0) * y),
    "negated twice": Expression("-(-x) + y", lambda x, y, z: neg(neg(x)) + y),
    "times eight": Expression("x*8 + y, integers", lambda x, y, z: x * 8 + y, integers=True),
    "mixture": Expression("((-(-x))*2*3)*z + (y*1 + 0)*z", lambda x, y, z: (neg(neg(x)) * 2 * 3) * z + (y * 1 + 0) * z),
}
RULE_NAMES: tuple[RuleName, ...] = get_args(RuleName)
