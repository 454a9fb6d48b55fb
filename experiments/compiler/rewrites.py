"""The effect of rewrite rules on tinygrad's graph of operations, and which of them tinygrad applies itself."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from operator import neg
from typing import TYPE_CHECKING, Any, Literal, get_args

from pydantic import Field

from experiments.bench.answers import bound_reason, describe_speedup
from experiments.bench.arrays import Array
from experiments.bench.columns import COMPILED, TIMED, Column, Value
from experiments.bench.profile import REASON
from experiments.bench.rows import Row
from experiments.bench.session import Bench, max_abs_error, timed_row, tolerance
from experiments.bench.spec import MeasuredSpec, Need, experiment
from experiments.bench.timing.measure import Call

if TYPE_CHECKING:
    import pandas as pd

    from experiments.bench.tinygrad.capture import CallWork

ATOL, RTOL = 1e-6, 1e-5  # a few roundings of float32 against float64; integers are exact within it
SEED = 1
AS_WRITTEN, ALL_RULES = "as written", "all rules"

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
    """A function of three arrays of equal shape, for tensors and for numpy; `integers` if the arrays are int32."""

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


class RewritesSpec(MeasuredSpec):
    """The expressions, the rules, and the array size."""

    expressions: list[ExpressionName] = Field(
        list(EXPRESSIONS),
        min_length=1,
        max_length=len(EXPRESSIONS),
        title="Expressions",
        description="each once: " + "; ".join(f"{name}: {one.text}" for name, one in EXPRESSIONS.items()),
    )
    rules: list[RuleName] = Field(
        list(RULE_NAMES),
        min_length=1,
        max_length=len(RULE_NAMES),
        title="Rules",
        description="each is applied to every expression by itself; where several fire, they are also applied together",
    )
    elements: int = Field(2**20, ge=1, le=2**26, title="Elements", description="size of each of the arrays x, y and z")
    budget_s: float = Field(
        1.0,
        ge=0.1,
        le=600,
        title="Budget per expression [s]",
        description="an expression is done when its intervals are narrow enough or this time is spent",
    )

    def need(self) -> Need:
        """Per element: some 112 bytes for arrays and float64 references, and a result of every graph."""
        each = 112 + 4 * (len(self.rules) + 2)
        return Need(
            each * self.elements, f"arrays, results, reference of {self.elements:,} numbers, {each} bytes each,"
        )


@experiment(
    section="Compiler",
    title="Graph rewrites",
    question="Which algebraic rules make a kernel do less, and which does tinygrad apply by itself?",
    compares="as written, each rule, all rules",
    spec=RewritesSpec,
    presets={
        "course": RewritesSpec(expressions=["scaled twice"], rules=["fold products"], elements=100 * 100),
        "gpu": RewritesSpec(elements=2**25),
        "quick": RewritesSpec(
            expressions=["scaled twice", "common factor", "negated twice"],
            rules=["fold products", "factor out", "drop double negation"],
            elements=2**16,
            budget_s=0.3,
        ),
    },
    columns=[
        Column("expression", "text", "name of the expression"),
        Column("written", "text", "the expression as a formula"),
        Column("fired", "integer", "number of times the rule fired"),
        Column("ops_before", "integer", "arithmetic operations in the graph as written"),
        Column("ops_after", "integer", "arithmetic operations in the graph after the rule"),
        Column("kernel_ops_before", "integer", "operations per element in the kernel of the graph as written"),
        Column("kernel_ops_after", "integer", "operations per element in the kernel of the rewritten graph"),
        Column("already", "boolean", "whether tinygrad compiles the same code without the rule"),
        *TIMED,
        *COMPILED,
        *REASON,
        "max_abs_error",
    ],
    details={
        "nodes": [
            Column("expression", "text", "name of the expression"),
            Column("variant", "text", "expression as written, or the rule that was applied to it"),
            Column("node", "integer", "number of the node in its graph"),
            Column("label", "text", "an input, a constant or the sign of an operation"),
            Column("layer", "integer", "distance from the inputs and constants, which are layer 0"),
        ],
        "edges": [
            Column("expression", "text", "name of the expression"),
            Column("variant", "text", "expression as written, or the rule that was applied to it"),
            Column("operand", "integer", "number of the operand node"),
            Column("node", "integer", "number of the node that has this operand"),
        ],
        "rules": [
            Column("variant", "text", "the rule"),
            Column("source", "text", "Python code of the rule"),
        ],
    },
    grid=("expression",),
    summary=(
        *("expression", "variant", "fired", "ops_before", "ops_after", "kernel_ops_before", "kernel_ops_after"),
        *("already", "latency_ms", "speedup", "verdict"),
    ),
    inspects=True,
    answer=lambda frame: answer(frame),
)
def rewrites(spec: RewritesSpec, bench: Bench) -> Iterator[Row]:
    """Rewrites the graph of an expression with a rule before tinygrad compiles it, and compares the kernels.

    Each rule is a pattern and its replacement, written with tinygrad's PatternMatcher; its source is stored with
    the run. `ops_before` and `ops_after` count arithmetic operations in the graph, a shared one once; the kernel
    operations are tinygrad's count for the compiled kernels, per element. `already` is true where the kernel's code
    is the same with and without the rule: tinygrad applies an equivalent rule itself, so only the graph differs and
    no time. It does not apply `factor out`, because floating-point results may differ in the last digits. A rule
    that does not fire leaves the graph unchanged and is not timed.
    Not measured: the time of rewriting, which a captured call does not repeat, and rules on reductions, data
    movement or control flow.
    Results are compared with numpy in float64 and with eager execution of the written expression; atol 1e-6 + rtol
    1e-5 of the largest value. Source: the custom optimization part of the tinygrad course.
    """
    from experiments.bench.tinygrad.rewrite_rules import source

    rules = list(dict.fromkeys(spec.rules))
    bench.detail("rules", [{"variant": rule, "source": source(rule)} for rule in rules])
    names = list(dict.fromkeys(spec.expressions))
    for number, name in enumerate(names):
        bench.progress(number / len(names), f"expression {name}: {EXPRESSIONS[name].text}")
        yield from _measure(spec, bench, name, rules)


@dataclass(frozen=True)
class GraphVariant:
    """The graph of one variant: its rules, how often they fired, and its number of operations."""

    rules: Sequence[RuleName]
    fired: int
    ops: int


@dataclass(frozen=True)
class CompiledVariant:
    """The compiled graph of one variant: its captured call, the call's work, kernel code and largest error."""

    function: Callable[..., Any]
    jit: Any
    work: "CallWork"
    code: str
    error: float


def sample_arrays(expression: Expression, elements: int) -> tuple[Array, ...]:
    """Seeded x, y and z: float32, or int32 for an expression of integers."""
    import numpy as np

    rng = np.random.default_rng(SEED)
    if expression.integers:
        return tuple(rng.integers(-1000, 1000, elements, dtype=np.int32) for _ in "xyz")
    return tuple(rng.standard_normal(elements, dtype=np.float32) for _ in "xyz")


def _measure(spec: RewritesSpec, bench: Bench, name: ExpressionName, rules: Sequence[RuleName]) -> Iterator[Row]:
    import numpy as np

    from experiments.bench.tinygrad.runtime import tensor

    expression = EXPRESSIONS[name]
    arrays = sample_arrays(expression, spec.elements)
    inputs = [tensor(array, bench.device) for array in arrays]
    reference = expression.of(*(array.astype(np.float64) for array in arrays))
    graphs = _graphs(bench, name, inputs, rules)
    eager = expression.of(*inputs).numpy()
    compiled = {
        variant: _compile(expression, graph.rules, inputs, reference, eager)
        for variant, graph in graphs.items()
        if variant == AS_WRITTEN or graph.fired
    }
    calls: dict[str, Call] = {variant: partial(one.jit, *inputs) for variant, one in compiled.items()}
    compared = bench.compare(calls, AS_WRITTEN)
    latencies_s = {variant: compared.latency(variant).median for variant in compiled}
    reasons = _reasons(bench, name, compiled, latencies_s, inputs)
    written = compiled[AS_WRITTEN]
    for variant, graph in graphs.items():
        one = compiled.get(variant, written)
        values: dict[str, Value] = {
            "expression": name,
            "written": expression.text,
            "fired": graph.fired,
            "ops_before": graphs[AS_WRITTEN].ops,
            "ops_after": graph.ops,
            "kernel_ops_before": round(written.work.ops / spec.elements),
            "kernel_ops_after": round(one.work.ops / spec.elements),
        }
        if variant not in compiled:
            yield Row({"variant": variant, **values})
            continue
        values |= {**one.work.columns(latencies_s[variant]), **reasons[variant]}
        values |= {"max_abs_error": one.error, "already": None if variant == AS_WRITTEN else one.code == written.code}
        yield timed_row(compared, variant, wrong=one.error > tolerance(reference, ATOL, RTOL), **values)


def _graphs(
    bench: Bench, name: ExpressionName, inputs: Sequence[Any], rules: Sequence[RuleName]
) -> dict[str, GraphVariant]:
    """The graph as written, after each rule alone, and after all where more than one fires; stored as details."""
    from experiments.bench.tinygrad.rewrite_rules import nodes, operations, rewrite

    alone = {rule: rewrite(EXPRESSIONS[name].of(*inputs), [rule]).fired for rule in rules}
    applied: dict[str, Sequence[RuleName]] = {AS_WRITTEN: (), **{rule: (rule,) for rule in rules}}
    if sum(fired > 0 for fired in alone.values()) > 1:
        applied[ALL_RULES] = rules
    found = {}
    for variant, chosen in applied.items():
        rewritten = rewrite(EXPRESSIONS[name].of(*inputs), chosen)
        found[variant] = GraphVariant(chosen, rewritten.fired, operations(rewritten.tensor))
        if variant != AS_WRITTEN and not rewritten.fired:
            continue
        where: dict[str, Value] = {"expression": name, "variant": variant}
        drawn = nodes(rewritten.tensor, dict(zip("xyz", inputs, strict=True)))
        bench.detail("nodes", [{**where, "node": n.number, "label": n.label, "layer": n.layer} for n in drawn])
        bench.detail("edges", [{**where, "operand": one, "node": n.number} for n in drawn for one in n.operands])
    return found


def _compile(
    expression: Expression, rules: Sequence[RuleName], inputs: Sequence[Any], reference: Array, eager: Array
) -> CompiledVariant:
    from experiments.bench.tinygrad.capture import capture, captured_work, kernels
    from experiments.bench.tinygrad.rewrite_rules import rewrite

    def function(*given: Any) -> Any:
        return rewrite(expression.of(*given), rules).tensor.realize()

    jit, result = capture(function, *inputs)
    replayed = result.numpy()
    error = max(max_abs_error(replayed, reference), max_abs_error(replayed, eager))
    return CompiledVariant(function, jit, captured_work(jit), "\n".join(one.source for one in kernels(jit)), error)


def _reasons(
    bench: Bench,
    name: ExpressionName,
    compiled: dict[str, CompiledVariant],
    latencies_s: dict[str, float],
    inputs: Sequence[Any],
) -> dict[str, dict[str, Value]]:
    """The bound of each variant; variants with the same code are profiled once, under the name of the first."""
    by_code: dict[str, list[str]] = {}
    for variant, one in compiled.items():
        by_code.setdefault(one.code, []).append(variant)
    found: dict[str, dict[str, Value]] = {}
    for variants in by_code.values():
        first = compiled[variants[0]]
        timed = {variant: latencies_s[variant] for variant in variants}
        found |= bench.inspect(timed, first.function, first.jit, inputs, expression=name)
    return found


def answer(frame: "pd.DataFrame") -> str:
    """How many rewrites tinygrad makes itself, and the effect of the rules that it does not apply."""
    fired = frame[(frame["fired"] > 0) & (frame["variant"] != ALL_RULES)]
    if fired.empty:
        return ""
    already = fired["already"].astype("boolean").fillna(False).astype(bool)
    rules, expressions = fired["variant"].nunique(), fired["expression"].nunique()
    known = int(already.sum())
    text = (
        f"On {fired['device'].iloc[0]}, {_plural(rules, 'rule')} made {_plural(len(fired), 'rewrite')} of "
        f"{_plural(expressions, 'expression')}"
    )
    if known:
        text += f"; {known} of them do{'es' * (known == 1)} not change the kernel: tinygrad compiles the same code "
        text += "without the rule"
    text += "."
    effects = (_effect(rule, rows) for rule, rows in fired[~already].groupby("variant", sort=False))
    return " ".join((text, *effects))


def _plural(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number > 1)}"


def _effect(rule: object, rows: "pd.DataFrame") -> str:
    """The effect of a rule that tinygrad does not apply: in full for the first expression, in short for the others."""
    first, *others = [row for _, row in rows.iterrows()]
    text = f"tinygrad does not {rule} by itself: the rule reduces {_cut(first)} and {describe_speedup(first, 'it')}"
    text += "" if first["verdict"] == "wrong" else bound_reason(first)
    return text + "".join(f", and {_cut(row)}" for row in others) + "."


def _cut(row: Any) -> str:
    return f"{row['written']} from {row['kernel_ops_before']} to {row['kernel_ops_after']} operations per element"
