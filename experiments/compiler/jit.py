"""The speedup of TinyJit over eager execution, and the break-even of its capture."""

import itertools
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from experiments.bench.answers import bound_reason, describe_speedup
from experiments.bench.challenge import Achievement, Challenge, rows_where
from experiments.bench.columns import COMPILED, TIMED, Column, Value
from experiments.bench.profile import REASON
from experiments.bench.rows import Row
from experiments.bench.session import Bench, max_abs_error, timed_row, tolerance
from experiments.bench.spec import MeasuredSpec, Need, experiment
from experiments.bench.statistics.intervals import break_even
from experiments.bench.timing.measure import Call, Comparison
from experiments.bench.tinygrad.phases import COLD_PHASES, phases_records, split
from experiments.models.functions import FunctionModel, elementwise, layers, matmul_chain

if TYPE_CHECKING:
    import pandas as pd

    from experiments.bench.tinygrad.runtime import PerShapeJit

ATOL, RTOL = 1e-5, 1e-4  # float32 sums of up to 8192 products against float64
TINY_WIDTH, TINY_LAYERS = 32, 12
MODELS = {
    "mlp3": "3-layer network",
    "elementwise": "elementwise chain (x+y).relu()*2",
    "matmul_chain": "matmul chain (a@b+c).relu().sum()",
    "tiny_layers": "stack of 12 tiny layers",
}
BY_BATCH = ("mlp3", "tiny_layers")
VARIANTS = ("eager", "jit")


class JitSpec(MeasuredSpec):
    """A model, its shapes, and the number of first calls to time."""

    model: Literal["mlp3", "elementwise", "matmul_chain", "tiny_layers"] = Field(
        "mlp3",
        title="Model",
        description="mlp3: three linear layers with ReLU; elementwise: (x+y).relu()*2; "
        "matmul_chain: (a@b+c).relu().sum(); tiny_layers: 12 layers of 32x32",
    )
    batch: list[Annotated[int, Field(ge=1, le=65536)]] = Field(
        [16, 32, 64, 128],
        min_length=1,
        max_length=16,
        title="Batch sizes",
        description="input rows, for mlp3 and tiny_layers",
    )
    size: list[Annotated[int, Field(ge=1, le=8192)]] = Field(
        [1000],
        min_length=1,
        max_length=16,
        title="Sizes n",
        description="n of the n x n matrices, for elementwise and matmul_chain",
    )
    widths: list[Annotated[int, Field(ge=1, le=16384)]] = Field(
        [784, 128, 64, 10],
        min_length=4,
        max_length=4,
        title="Layer widths",
        description="inputs, two hidden layers and outputs of mlp3",
    )
    calls: int = Field(
        10, ge=3, le=200, title="First calls", description="number of calls of the fresh process in the timeline"
    )

    @property
    def grid(self) -> list[dict[str, int]]:
        """The points to measure: one per batch size or matrix size, in the given order, each once."""
        axis, values = ("batch", self.batch) if self.model in BY_BATCH else ("size", self.size)
        return [{axis: value} for value in dict.fromkeys(values)]

    def n_of(self, point: dict[str, int]) -> int:
        """The size of the inputs at a grid point: its batch size or matrix size."""
        return next(iter(point.values()))

    def need(self) -> Need:
        """Inputs, weights, activations and the float64 reference of the largest point."""
        batch, size = max(self.batch), max(self.size)
        if self.model == "mlp3":
            weights = sum(a * b for a, b in itertools.pairwise(self.widths))
            return Need(12 * (batch * sum(self.widths) + weights), f"a network {self.text('widths')} at batch {batch}")
        if self.model == "tiny_layers":
            return Need(24 * batch * TINY_WIDTH, f"12 layers at batch {batch}")
        return Need(12 * 4 * size * size, f"matrices of {size}x{size} and their reference")


@experiment(
    section="Compiler",
    title="JIT",
    question="How much faster does TinyJit make a call, and after how many calls has the capture paid off?",
    compares="eager, jit",
    spec=JitSpec,
    presets={
        "basics": JitSpec(model="elementwise", size=[1000]),
        "internals": JitSpec(model="matmul_chain", size=[512]),
        "exercise": JitSpec(model="mlp3", batch=[16, 32, 64, 128]),
        "launch_bound": JitSpec(model="tiny_layers", batch=[8]),
        "quick": JitSpec(model="mlp3", batch=[16, 64], widths=[64, 32, 16, 10], budget_s=0.5, calls=5),
    },
    columns=[
        Column("model", "text", "the measured function"),
        Column("batch", "integer", "input rows; empty for models without a batch"),
        Column("size", "integer", "n of the n x n matrices; empty for models without matrices"),
        *TIMED,
        *("first_call_ms", "capture_ms", "break_even_calls"),
        Column("captures", "integer", "programs captured so far, one per shape"),
        *COMPILED,
        *REASON,
        "max_abs_error",
    ],
    details={
        "timeline": [
            Column("variant", "text", "eager or jit"),
            Column("batch", "integer", "input rows"),
            Column("size", "integer", "n of the n x n matrices"),
            Column("call", "integer", "number of the call in its fresh process, from 1"),
            Column("phase", "text", "eager, capture or replay"),
            Column("call_ms", "number", "time of this call, synchronized"),
        ],
        "cold_phases": [
            Column("batch", "integer", "input rows"),
            Column("size", "integer", "n of the n x n matrices"),
            *COLD_PHASES,
        ],
    },
    grid=("batch", "size"),
    summary=("batch", "size", "variant", "latency_ms", "speedup", "verdict", "break_even_calls", "kernels", "bound"),
    inspects=True,
    answer=lambda frame: answer(frame),
    challenge=Challenge(
        goal="Make a call of the three-layer network at least 4x faster than eager at batch 128 or more, with the "
        "whole interval above 4, and explain what limits the speedup.",
        question="What limits the speedup? Which would have to become cheaper: launches, arithmetic or memory access?",
        start="exercise",
        met=lambda frame: four_times(frame),
    ),
)
def jit(spec: JitSpec, bench: Bench) -> Iterator[Row]:
    """Compares one call of a function, eager and captured by TinyJit, at each batch size or matrix size.

    Latency is one synchronized call with realized inputs, from the third call on for the JIT, everything
    compiled. First call and capture are timed in a fresh process per variant and point with an empty kernel
    cache; they exclude the start of Python, the opening of the device and a warm-up compile.
    At the first point the phases of a cold call are measured too, with kernels compiled one after another
    (tinygrad's pool of compiling processes, which first_call_ms includes, would hide them).
    The first call of a TinyJit is an eager call, so break-even compares the cumulative times from the second
    call on: the first calls as measured, then the steady-state latency.
    Not measured: training, changing shapes (a new shape is a new capture), asynchronous calls.
    Results are compared with numpy in float64, the JIT's also with eager; atol 1e-5 + rtol 1e-4 of the
    largest value. Source: the JIT part of the tinygrad course.
    """
    from experiments.bench.tinygrad.runtime import PerShapeJit

    workload: FunctionModel | None = None
    for number, point in enumerate(spec.grid):
        where = ", ".join(f"{axis} {value}" for axis, value in point.items())
        done = number / len(spec.grid)
        bench.progress(done, f"{where}: first calls, each variant in a fresh process")
        shared: dict[str, Value] = {"spec": spec.model_dump_json(), "n": spec.n_of(point)}
        with bench.cold_starts(
            f"{__name__}:first_calls", {name: {**shared, "variant": name} for name in VARIANTS}
        ) as fresh:
            if workload is None:  # while the processes prepare
                workload = build(spec, bench.device)
                jitted = PerShapeJit(workload.function)
            for process in fresh.values():
                process.wait_until_ready()
            cold: dict[str, list[float]] = {name: process.ask_and_close()["calls_s"] for name, process in fresh.items()}
        for variant, seconds in cold.items():
            bench.detail("timeline", _timeline(variant, point, seconds))
        bench.progress(done + 0.5 / len(spec.grid), f"{where}: measuring")
        yield from _measure(spec, bench, point, workload, jitted, cold)
    bench.progress(1.0, "phases of a cold call")
    bench.detail("cold_phases", _cold_phases(spec, bench, spec.grid[0]))


def _measure(
    spec: JitSpec,
    bench: Bench,
    point: dict[str, int],
    workload: FunctionModel,
    jitted: "PerShapeJit",
    cold: dict[str, list[float]],
) -> Iterator[Row]:
    from experiments.bench.tinygrad.capture import captured_work, replayed
    from experiments.bench.tinygrad.runtime import Counted

    n = spec.n_of(point)
    reference, inputs = workload.reference(*workload.sample(n)), workload.inputs(n, bench.device)
    calls: dict[str, Call] = {"eager": lambda: workload.function(*inputs), "jit": lambda: jitted(*inputs)}
    eager = workload.function(*inputs).numpy()
    after_capture = replayed(jitted, *inputs).numpy()
    with Counted() as counted:
        calls["eager"]()
    errors = {
        "eager": max_abs_error(eager, reference),
        "jit": max(max_abs_error(after_capture, reference), max_abs_error(after_capture, eager)),
    }
    works = {"eager": counted.work, "jit": captured_work(jitted.of(*inputs))}
    comparison = bench.compare(calls, "eager")
    latencies_s = {variant: comparison.latency(variant).median for variant in ("jit", "eager")}
    reasons = bench.inspect(latencies_s, workload.function, jitted.of(*inputs), inputs, **point)
    for variant, work in works.items():
        wrong = errors[variant] > tolerance(reference, ATOL, RTOL)
        values: dict[str, Value] = {
            "model": spec.model,
            **point,
            "first_call_ms": cold[variant][0] * 1e3,
            **work.columns(latencies_s[variant]),
            **reasons[variant],
            "max_abs_error": errors[variant],
        }
        if variant == "jit":
            values |= {
                "capture_ms": cold["jit"][1] * 1e3,
                "captures": jitted.captures,
                "break_even_calls": _break_even(comparison, cold) if _gains(comparison, wrong) else None,
            }
        yield timed_row(comparison, variant, wrong=wrong, **values)


def _gains(comparison: Comparison, wrong: bool) -> bool:
    """Whether the JIT is significantly faster: otherwise there is no break-even."""
    return not wrong and comparison.verdict("jit") == "faster"


def _break_even(comparison: Comparison, cold: dict[str, list[float]]) -> int | None:
    """Calls until the JIT's cumulative time is at or below eager's, its shared first call counted once."""
    steady = {variant: comparison.latency(variant).median for variant in VARIANTS}
    after_first = break_even(cold["eager"][1:], steady["eager"], cold["jit"][1:], steady["jit"])
    return None if after_first is None else after_first + 1


def _timeline(variant: str, point: dict[str, int], seconds: list[float]) -> list[dict[str, Value]]:
    phases = ("eager", "capture") if variant == "jit" else ()
    later = "replay" if variant == "jit" else "eager"
    return [
        {
            "variant": variant,
            **point,
            "call": number,
            "phase": phases[number - 1] if number <= len(phases) else later,
            "call_ms": value * 1e3,
        }
        for number, value in enumerate(seconds, start=1)
    ]


def first_calls(device: str, variant: str, spec: str, n: int) -> Callable[[], dict[str, list[float]]]:
    """In a fresh process: seconds of the first calls of one variant, with inputs realized before."""
    from tinygrad import TinyJit

    from experiments.bench.tinygrad.runtime import synchronizer, warm_up_compiler

    parsed = JitSpec.model_validate_json(spec)
    synchronize = synchronizer(device)
    warm_up_compiler(device)
    workload = build(parsed, device)
    inputs = workload.inputs(n, device)
    call = TinyJit(workload.function) if variant == "jit" else workload.function

    def measure() -> dict[str, list[float]]:
        seconds = []
        for _ in range(parsed.calls):
            synchronize()
            start = time.perf_counter()
            call(*inputs)
            synchronize()
            seconds.append(time.perf_counter() - start)
        return {"calls_s": seconds}

    return measure


def _cold_phases(spec: JitSpec, bench: Bench, point: dict[str, int]) -> list[dict[str, Value]]:
    arguments: dict[str, Value] = {"spec": spec.model_dump_json(), "n": spec.n_of(point)}
    return [{**point, **one} for one in phases_records(bench, "experiments.compiler.jit:cold_split", **arguments)]


def cold_split(device: str, spec: str, n: int) -> dict[str, dict[str, float]]:
    """In a fresh process that has not imported tinygrad: seconds per phase of an eager first and a warm call."""
    parsed = JitSpec.model_validate_json(spec)

    def make() -> Callable[[], object]:
        workload = build(parsed, device)
        return partial(workload.function, *workload.inputs(n, device))

    return split(device, make)


def build(spec: JitSpec, device: str) -> FunctionModel:
    """The function that `spec` names, its weights on `device`."""
    match spec.model:
        case "elementwise":
            return elementwise()
        case "matmul_chain":
            return matmul_chain()
        case "tiny_layers":
            return layers(device, [TINY_WIDTH] * (TINY_LAYERS + 1), relu_last=True)
        case "mlp3":
            return layers(device, spec.widths)


def answer(frame: "pd.DataFrame") -> str:
    """One sentence: the speedup at the first and the last grid point, and the break-even of the capture."""
    rows = frame[frame["variant"] == "jit"]
    if rows.empty:
        return ""
    first, last = rows.iloc[0], rows.iloc[-1]
    model = MODELS.get(str(first["model"]), str(first["model"]))
    text = f"On {first['device']}, the JIT {describe_speedup(first, f'the {model}')} at {_where(first)}"
    text += "" if first["verdict"] == "wrong" else bound_reason(first)
    if len(rows) > 1:
        text += f" and {describe_speedup(last, 'it')} at {_where(last)}"
    correct = rows[rows["verdict"] != "wrong"]
    if correct.empty:
        return text + "."
    paid = [int(calls) for calls in correct["break_even_calls"].dropna()]
    if len(paid) < len(correct):
        never = (
            "its capture never pays off"
            if (correct["verdict"] == "slower").all()
            else "there is no significant speedup, so no break-even"
        )
        return f"{text}; {'its capture does not always pay off' if paid else never}."
    largest, fewest = max(paid), min(paid)
    return text + f"; its capture has paid off after {fewest if fewest == largest else f'{fewest} to {largest}'} calls."


def _where(row: Any) -> str:
    return f"batch {row['batch']}" if row["model"] in BY_BATCH else f"{row['size']}x{row['size']}"


def four_times(frame: "pd.DataFrame") -> Achievement | None:
    """The best row that meets the challenge: mlp3, batch 128 or more, at least 4x with its whole interval."""
    conditions = (frame["variant"] == "jit", frame["model"] == "mlp3", frame["verdict"] == "faster")
    rows = rows_where(frame, *conditions, frame["batch"] >= 128, frame["speedup_lo"] >= 4)
    if rows.empty:
        return None
    best = rows.sort_values("speedup").iloc[-1]
    what = f"The JIT {describe_speedup(best, MODELS['mlp3'])} at batch {best['batch']} on {best['device']}."
    return Achievement(what, bound_reason(best).strip(" ()") or "That call was not profiled.")
