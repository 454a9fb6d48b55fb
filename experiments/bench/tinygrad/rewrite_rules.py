"""Rewrite rules, each a PatternMatcher on tinygrad's graph, and their application.

In a rule `UPat.var` matches any part of a graph and `UPat.cvar` a constant; the rule's function gets the matched parts
by name and returns their replacement, or None to keep them. Source: tinygrad.uop.symbolic.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tinygrad import Tensor, dtypes
from tinygrad.uop.ops import GroupOp, Ops, PatternMatcher, UOp, UPat, graph_rewrite


def fold_products() -> PatternMatcher:
    """(x * a) * b = x * (a * b)"""
    x, a, b = UPat.var("x"), UPat.cvar("a"), UPat.cvar("b")
    return PatternMatcher([((x * a) * b, lambda x, a, b: x * (a.val * b.val))])


def fold_sums() -> PatternMatcher:
    """(x + a) + b = x + (a + b)"""
    x, a, b = UPat.var("x"), UPat.cvar("a"), UPat.cvar("b")
    return PatternMatcher([((x + a) + b, lambda x, a, b: x + (a.val + b.val))])


def factor_out() -> PatternMatcher:
    """a * c + b * c = (a + b) * c"""
    a, b, c = UPat.var("a"), UPat.var("b"), UPat.var("c")
    return PatternMatcher([(a * c + b * c, lambda a, b, c: (a + b) * c)])


def drop_times_one() -> PatternMatcher:
    """x * 1 = x"""
    return PatternMatcher([(UPat.var("x") * 1, lambda x: x)])


def drop_plus_zero() -> PatternMatcher:
    """x + 0 = x"""
    return PatternMatcher([(UPat.var("x") + 0, lambda x: x)])


def drop_double_negation() -> PatternMatcher:
    """-(-x) = x; tinygrad writes -x as x * -1"""
    return PatternMatcher([(UPat.var("x") * -1 * -1, lambda x: x)])


def shift() -> PatternMatcher:
    """n * 2**k = n << k, of integers: strength reduction"""

    def shifted(n: UOp, c: UOp) -> UOp | None:
        power = c.val > 1 and c.val.bit_count() == 1
        return n << (c.val.bit_length() - 1) if power else None

    n, c = UPat.var("n", dtypes.ints), UPat.cvar("c")
    return PatternMatcher([(n * c, shifted)])


RULES: dict[str, Callable[[], PatternMatcher]] = {
    "fold products": fold_products,
    "fold sums": fold_sums,
    "factor out": factor_out,
    "drop times one": drop_times_one,
    "drop plus zero": drop_plus_zero,
    "drop double negation": drop_double_negation,
    "shift": shift,
}


class Counting(PatternMatcher):  # type: ignore[misc]  # tinygrad is not typed strictly
    """A PatternMatcher that counts how often its rules fire."""

    def __init__(self, patterns: Sequence[tuple[UPat, Callable[..., Any]]]) -> None:
        super().__init__(patterns)
        self.fired = 0

    def rewrite(self, uop: UOp, ctx: Any = None) -> UOp | None:
        """The replacement of `uop`, or None."""
        replaced = super().rewrite(uop, ctx)
        self.fired += replaced is not None
        return replaced


@dataclass(frozen=True)
class Rewritten:
    """A tensor with a rewritten graph, and how often the rules fired."""

    tensor: Any
    fired: int


def rewrite(tensor: Any, rules: Sequence[str]) -> Rewritten:
    """Applies rules to the graph of an unrealized tensor, operands first, until none fires."""
    counting = Counting([pattern for rule in rules for pattern in RULES[rule]().patterns])
    graph = graph_rewrite(tensor.uop, counting)
    return Rewritten(Tensor(graph), counting.fired)


def source(rule: str) -> str:
    """The source code of a rule."""
    return inspect.getsource(RULES[rule])


def operations(tensor: Any) -> int:
    """Arithmetic operations in the graph of an unrealized tensor; one that is used twice counts once."""
    return sum(node.op in GroupOp.ALU for node in tensor.uop.toposort())


@dataclass(frozen=True)
class Node:
    """One node of a graph: its number, its operation, the numbers of its operands, its distance from the inputs."""

    number: int
    label: str
    operands: tuple[int, ...]
    layer: int


SIGNS = {Ops.ADD: "+", Ops.MUL: "×", Ops.SHL: "<<", Ops.RECIPROCAL: "1/"}


def nodes(tensor: Any, inputs: Mapping[str, Any]) -> list[Node]:
    """The graph of a tensor: named inputs, constants and operations, each after its operands."""
    names = {held.uop: name for name, held in inputs.items()}
    found: dict[UOp, Node] = {}
    graph = tensor.uop.toposort()
    used = {operand for node in graph if node.op in GroupOp.ALU for operand in node.src}  # other constants are shapes
    for node in graph:
        is_input, is_constant = node in names, node.op is Ops.CONST and node in used
        if not (is_input or is_constant or node.op in GroupOp.ALU):
            continue
        operands = [found[one] for one in node.src if one in found] if node.op in GroupOp.ALU else []
        label = names[node] if is_input else f"{node.val:g}" if is_constant else SIGNS.get(node.op, node.op.name)
        layer = 1 + max(one.layer for one in operands) if operands else 0
        found[node] = Node(len(found), label, tuple(one.number for one in operands), layer)
    return list(found.values())
