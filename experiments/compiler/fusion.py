"""What fusing an elementwise chain into one kernel saves in bytes and in time."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import numpy as np
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
    """One operation of the chain: on a tensor, and on a float64 array."""

    name: str
    tensor: Callable[[Any], Any]
    numpy: Callable[[Array], Array]


# The first four are the course's chain. No step undoes or repeats its neighbour, so that none can be folded away.
CHAIN = (
    ChainStep("x*2", lambda x: x * 2.0, lambda x: x * 2.0),
    ChainStep("+1", lambda x: x + 1.0, lambda x: x + 1.0),
    ChainStep("relu", lambda x: x.relu(), lambda x: np.maximum(x, 0)),
    ChainStep("/3", lambda x: x / 3.0, lambda x: x / 3.0),
    ChainStep("sqrt", lambda x: x.sqrt(), np.sqrt),
    ChainStep("-0.5", lambda x: x - 0.5, lambda x: x - 0.5),
    ChainStep("square", lambda x: x * x, np.square),
    ChainStep("*0.7", lambda x: x * 0.7, lambda x: x * 0.7),
)


class FusionSpec(MeasuredSpec):
    """How long the chain is, over how many numbers it goes, and where it is cut once."""

    steps: int = Field(
        5,
        ge=2,
        le=len(CHAIN),
        title="Steps of the chain",
        description="the first so many of " + ", ".join(step.name for step in CHAIN),
    )
    cut_after: int = Field(
        2, ge=1, le=len(CHAIN) - 1, title="Cut after step", description="where `contiguous once` writes its result out"
    )
    elements: list[Annotated[int, Field(ge=1, le=2**28)]] = Field(
        [2**10, 2**14, 2**18, 2**21, 2**24],
        min_length=1,
        max_length=12,
        title="Elements",
        description="float32 numbers of the vector that the chain is applied to",
    )

    @field_validator("cut_after")
    @classmethod
    def _cut_within(cls, cut: int, info: ValidationInfo) -> int:
        steps = info.data.get("steps")
        if steps is not None and cut >= steps:
            raise ValueError(f"{cut} is not allowed; a chain of {steps} steps can be cut after step 1 to {steps - 1}")
        return cut

    def need(self) -> Need:
        """Per number: some 80 bytes for input, reference and results, and 8 for every step written out."""
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
        Column("elements", "integer", "numbers that the chain is applied to"),
        Column("steps", "integer", "operations of the chain"),
        *TIMED,
        *COMPILED,
        Column("traffic", "number", "bytes of a call over those of the fused chain"),
        *REASON,
        "max_abs_error",
    ],
    grid=("elements",),
    summary=("elements", "variant", "latency_ms", "speedup", "verdict", "kernels", "bytes", "traffic", "gb_s", "bound"),
    inspects=True,
    answer=lambda frame: answer(frame),
)
def fusion(spec: FusionSpec, bench: Bench) -> Iterator[Row]:
    """Replays one elementwise chain, fused by tinygrad and cut into more kernels on purpose, at each size.

    `fused` leaves the chain as it is written. `contiguous once` writes the result out after one step,
    `contiguous every op` after every step, which is what a library without fusion does; it is the baseline.
    `realize every op` asks for the same kernels in as many schedules; captured by a TinyJit it should differ
    in nothing. The same arithmetic in all of them: what differs is how often the numbers go through memory.
    Kernels and unique bytes are counted from the captured kernels: a chain of n steps that is not fused reads
    and writes every number n times where the fused one does so once, so it moves exactly n times the bytes.
    ReLU counts as two operations, a comparison and a choice; it is one step.
    Not measured: eager calls, where each schedule costs the host more besides (see the JIT), reductions and
    matrix products, and whether a chain is too long to be fused.
    Results are compared with numpy in float64 and with eager execution; atol 1e-6 + rtol 1e-5 of the largest value.
    Source: the kernel fusion part of the tinygrad course.
    """
    sizes = list(dict.fromkeys(spec.elements))
    for number, elements in enumerate(sizes):
        bench.progress(number / len(sizes), f"{elements:,} elements")
        yield from _measure(spec, bench, elements)


def variants(spec: FusionSpec) -> dict[str, Callable[[Any], Any]]:
    """The chain of `spec` as functions of a realised tensor, cut in different places; by the variant's name."""
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
    x = x.astype(np.float64)
    for step in CHAIN[: spec.steps]:
        x = step.numpy(x)
    return x


def _error(replayed: Array, reference: Array, eager: Array) -> float:
    return max(max_abs_error(replayed, reference), max_abs_error(replayed, eager))


def answer(frame: "pd.DataFrame") -> str:
    """One sentence: the bytes that fusing saves, the time at the largest size, and from which size on it pays."""
    fused = frame[frame["variant"] == FUSED].sort_values("elements")
    apart = frame[frame["variant"] == CONTIGUOUS_EVERY].sort_values("elements")
    if fused.empty or apart.empty:
        return ""
    largest, most = fused.iloc[-1], apart.iloc[-1]
    traffic = float(most["traffic"])
    times = f"exactly {traffic:.0f}x" if traffic.is_integer() else f"{traffic:.3g}x"
    said = (
        f"On {largest['device']} a chain of {largest['steps']} steps moves {times} the bytes if every step writes its "
        f"result to memory ({most['bytes'] / 1e6:.3g} MB instead of {largest['bytes'] / 1e6:.3g} MB at "
        f"{largest['elements']:,} elements); fusing them into one kernel {describe_speedup(largest, 'the chain')} there"
    )
    said += "" if largest["verdict"] == "wrong" else bound_reason(largest)
    return f"{said}. {_pays(fused)}."


def pays_from(frame: "pd.DataFrame") -> int | None:
    """The measured size from which on fusing is faster, at it and at all larger ones; None where there is none."""
    fused = frame[frame["variant"] == FUSED].sort_values("elements", ascending=False)
    slower = [str(verdict) != "faster" for verdict in fused["verdict"]]
    paying = fused["elements"].iloc[: slower.index(True)] if True in slower else fused["elements"]
    return int(paying.min()) if len(paying) else None


def _pays(fused: "pd.DataFrame") -> str:
    paying = pays_from(fused)
    if paying is None:
        return "No size was measured from which on fusing pays for certain"
    smaller = fused[fused["elements"] < paying]
    if smaller.empty:
        return f"Fusing pays at every size that was measured, from {paying:,} elements on"
    below = smaller.iloc[-1]
    seen = "no gain can be told" if below["verdict"] == "cannot tell" else f"the verdict is {below['verdict']}"
    return f"Fusing pays from {paying:,} elements on; at {below['elements']:,} {seen}"
