"""Bytes and time saved by fusing an elementwise chain into one kernel."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from pydantic import Field, field_validator
from pydantic_core.core_schema import ValidationInfo

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

ATOL, RTOL = 1e-6, 1e-5  # a few roundings of float32 against float64
SEED = 1
FUSED, CONTIGUOUS_ONCE, CONTIGUOUS_EVERY, REALIZE_EVERY = (
    "fused",
    "contiguous once",
    "contiguous every op",
    "realize every op",
)


class ChainStep(NamedTuple):
    """One operation of the chain: on a tensor, and on a float64 array as reference."""

    name: str
    tensor: Callable[[Any], Any]
    numpy: Callable[[Array], Array]


# The first four are the course's chain. No step inverts or repeats its neighbor, so none can be folded away.
CHAIN = (
    ChainStep("x*2", lambda x: x * 2.0, lambda x: x * 2.0),
    ChainStep("+1", lambda x: x + 1.0, lambda x: x + 1.0),
    ChainStep("relu", lambda x: x.relu(), lambda x: x.clip(0)),
    ChainStep("/3", lambda x: x / 3.0, lambda x: x / 3.0),
    ChainStep("sqrt", lambda x: x.sqrt(), lambda x: x**0.5),
    ChainStep("-0.5", lambda x: x - 0.5, lambda x: x - 0.5),
    ChainStep("square", lambda x: x * x, lambda x: x * x),
    ChainStep("*0.7", lambda x: x * 0.7, lambda x: x * 0.7),
)


class FusionSpec(MeasuredSpec):
    """Length of the chain, vector sizes, and the step after which it is cut once."""

    steps: int = Field(
        5,
        ge=2,
        le=len(CHAIN),
        title="Chain length [steps]",
        description="number of steps, the first ones of " + ", ".join(step.name for step in CHAIN),
    )
    cut_after: int = Field(
        2,
        ge=1,
        le=len(CHAIN) - 1,
        title="Cut after step",
        description="step after which `contiguous once` writes to memory",
    )
    elements: list[Annotated[int, Field(ge=1, le=2**28)]] = Field(
        [2**10, 2**14, 2**18, 2**21, 2**24],
        min_length=1,
        max_length=12,
        title="Elements",
        description="size of the float32 vector that the chain is applied to",
    )

    @field_validator("cut_after")
    @classmethod
    def _cut_within(cls, cut: int, info: ValidationInfo) -> int:
        steps = info.data.get("steps")
        if steps is not None and cut >= steps:
            raise ValueError(f"{cut} is not allowed; a chain of {steps} steps can be cut after step 1 to {steps - 1}")
        return cut

    def need(self) -> Need:
        """Per element: some 80 bytes for input, reference and results, and 8 for every step written to memory."""
        most, each = max(self.elements), 80 + 8 * self.steps
        return Need(each * most, f"a chain of {self.steps} steps over {most:,} numbers, {each} bytes each,")


@experiment(
    section="Compiler",
    title="Kernel fusion",
    question="How much memory traffic and time does fusing an elementwise chain save?",
    compares="fused, contiguous once, contiguous every op, realize every op",
    spec=FusionSpec,
    presets={
        "course": FusionSpec(steps=4, elements=[1_000_000]),
        "gpu": FusionSpec(elements=[2**16, 2**20, 2**23, 2**26]),
        "quick": FusionSpec(elements=[2**12, 2**18, 2**21], budget_s=0.5),
    },
    columns=[
        Column("elements", "integer", "size of the vector that the chain is applied to"),
        Column("steps", "integer", "operations of the chain"),
        *TIMED,
        *COMPILED,
        Column("traffic", "number", "bytes of a call divided by those of the fused chain"),
        *REASON,
        "max_abs_error",
    ],
    grid=("elements",),
    summary=("elements", "variant", "latency_ms", "speedup", "verdict", "kernels", "bytes", "traffic", "gb_s", "bound"),
    inspects=True,
    answer=lambda frame: answer(frame),
)
def fusion(spec: FusionSpec, bench: Bench) -> Iterator[Row]:
    """Replays one elementwise chain, fused by tinygrad and deliberately cut into more kernels, at each size.

    `fused` leaves the chain as written. `contiguous once` writes the result to memory after one step,
    `contiguous every op` after every step, as a library without fusion does; it is the baseline.
    `realize every op` schedules the same kernels one by one; captured by a TinyJit it should not differ.
    The arithmetic is the same in all of them; only the number of passes through memory differs.
    Kernels and unique bytes are counted from the captured kernels: an unfused chain of n steps reads and writes
    every number n times, the fused one once, so it moves exactly n times the bytes.
    ReLU is one step of two operations, a comparison and a selection.
    Not measured: eager calls, where each schedule also costs host time (see the JIT), reductions and matrix
    products, and the length from which a chain is no longer fused.
    Results are compared with numpy in float64 and with eager execution; atol 1e-6 + rtol 1e-5 of the largest value.
    Source: the kernel fusion part of the tinygrad course.
    """
    sizes = list(dict.fromkeys(spec.elements))
    for number, elements in enumerate(sizes):
        bench.progress(number / len(sizes), f"{elements:,} elements")
        yield from _measure(spec, bench, elements)


def variants(spec: FusionSpec) -> dict[str, Callable[[Any], Any]]:
    """The chain of `spec` as functions of a realized tensor, cut in different places; by variant name."""
    every = range(1, spec.steps + 1)

    def cut(after: range | tuple[int, ...], write: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def function(x: Any) -> Any:
            for number, step in enumerate(CHAIN[: spec.steps], start=1):
                x = step.tensor(x)
                x = write(x) if number in after else x
            return x.realize()

        return function

    return {
        FUSED: cut((), lambda x: x),
        CONTIGUOUS_ONCE: cut((spec.cut_after,), lambda x: x.contiguous()),
        CONTIGUOUS_EVERY: cut(every, lambda x: x.contiguous()),
        REALIZE_EVERY: cut(every, lambda x: x.realize()),
    }


def _measure(spec: FusionSpec, bench: Bench, elements: int) -> Iterator[Row]:
    import numpy as np

    from experiments.bench.tinygrad.capture import capture, captured_work
    from experiments.bench.tinygrad.runtime import normal

    x = normal(np.random.default_rng(SEED), elements, device=bench.device)
    reference = _reference(spec, x.numpy())
    functions = variants(spec)
    eager = functions[FUSED](x).numpy()
    captures = {name: capture(function, x) for name, function in functions.items()}
    jits = {name: jit for name, (jit, _) in captures.items()}
    errors = {name: _error(result.numpy(), reference, eager) for name, (_, result) in captures.items()}
    works = {name: captured_work(jit) for name, jit in jits.items()}
    calls: dict[str, Call] = {name: partial(jit, x) for name, jit in jits.items()}
    comparison = bench.compare(calls, CONTIGUOUS_EVERY)
    for name, work in works.items():
        latency_s = comparison.latency(name).median
        values: dict[str, Value] = {
            "elements": elements,
            "steps": spec.steps,
            **work.columns(latency_s),
            "traffic": work.bytes / works[FUSED].bytes,
            **bench.inspect({name: latency_s}, functions[name], jits[name], (x,), elements=elements)[name],
            "max_abs_error": errors[name],
        }
        yield timed_row(comparison, name, wrong=errors[name] > tolerance(reference, ATOL, RTOL), **values)


def _reference(spec: FusionSpec, x: Array) -> Array:
    x = x.astype("float64")
    for step in CHAIN[: spec.steps]:
        x = step.numpy(x)
    return x


def _error(replayed: Array, reference: Array, eager: Array) -> float:
    return max(max_abs_error(replayed, reference), max_abs_error(replayed, eager))


def answer(frame: "pd.DataFrame") -> str:
    """Bytes saved by fusion, the speedup at the largest size, and the size from which fusion is faster."""
    fused = frame[frame["variant"] == FUSED].sort_values("elements")
    unfused = frame[frame["variant"] == CONTIGUOUS_EVERY].sort_values("elements")
    if fused.empty or unfused.empty:
        return ""
    largest, baseline = fused.iloc[-1], unfused.iloc[-1]
    traffic = float(baseline["traffic"])
    times = f"exactly {traffic:.0f}x" if traffic.is_integer() else f"{traffic:.3g}x"
    text = (
        f"On {largest['device']}, a chain of {largest['steps']} steps moves {times} the bytes if every step writes its "
        f"result to memory ({baseline['bytes'] / 1e6:.3g} MB instead of {largest['bytes'] / 1e6:.3g} MB at "
        f"{largest['elements']:,} elements). At this size one fused kernel {describe_speedup(largest, 'the chain')}"
    )
    text += "" if largest["verdict"] == "wrong" else bound_reason(largest)
    return f"{text}. {_pays(fused)}."


def pays_from(frame: "pd.DataFrame") -> int | None:
    """The smallest measured size from which fusion is faster at every size; None if there is none."""
    fused = frame[frame["variant"] == FUSED].sort_values("elements", ascending=False)
    slower = [str(verdict) != "faster" for verdict in fused["verdict"]]
    paying = fused["elements"].iloc[: slower.index(True)] if True in slower else fused["elements"]
    return int(paying.min()) if len(paying) else None


def _pays(fused: "pd.DataFrame") -> str:
    paying = pays_from(fused)
    if paying is None:
        return "Fusing is not significantly faster at the largest size"
    smaller = fused[fused["elements"] < paying]
    if smaller.empty:
        return f"Fusing is faster at every measured size, from {paying:,} elements on"
    below = smaller.iloc[-1]
    verdict = "inconclusive" if below["verdict"] == "cannot tell" else below["verdict"]
    return f"Fusing is faster from {paying:,} elements on; at {below['elements']:,} the verdict is {verdict}"
