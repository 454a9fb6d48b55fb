"""What changing shapes cost with TinyJit, and which way to serve them is best for a stream of calls."""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING

from experiments.bench.columns import COMPILED, TIMED, Column, Value
from experiments.bench.inspection import REASON
from experiments.bench.measure import Comparison
from experiments.bench.session import Bench, max_abs_error, rates, timed_row, tolerance
from experiments.bench.spec import Row, experiment
from experiments.bench.statistics import fastest
from experiments.compiler.shaping import BUCKET, EAGER, PER_SHAPE, STRATEGIES, SYMBOLIC, Shape, text_of
from experiments.compiler.shaping.operations import Operation, operation, output_shape
from experiments.compiler.shaping.spec import ShapesSpec
from experiments.compiler.shaping.streams import STREAM, costs, records

if TYPE_CHECKING:
    import pandas as pd

    from experiments.bench.kernels import Work
    from experiments.compiler.shaping.strategies import Strategy

ATOL, RTOL = 1e-5, 1e-4  # float32 sums of up to 8192 products against float64


@experiment(
    section="Compiler",
    title="Shape specialisation",
    question="What does every new shape cost a JIT, and which way to serve changing shapes is best?",
    compares="eager, one jit per shape, symbolic batch, pad to bucket",
    spec=ShapesSpec,
    presets={
        "course": ShapesSpec(
            operation="conv2d", shapes=["1x3x32x32", "1x3x64x64", "2x3x32x32"], buckets=[2], calls=30, exponent=0.0
        ),
        "batches": ShapesSpec(calls=300),
        "matmul": ShapesSpec(
            operation="matmul", shapes=[f"{n}x256" for n in (8, 16, 3, 24, 32, 5)], buckets=[8, 16, 32]
        ),
        "quick": ShapesSpec(
            operation="mlp", shapes=["1x64", "4x64", "2x64", "3x64"], buckets=[2, 4], calls=24, budget_s=0.3
        ),
    },
    columns=[
        Column("operation", "text", "what is applied to the input"),
        Column("shape", "text", "of the input"),
        Column("calls", "integer", "of the stream that have this shape"),
        *TIMED,
        Column("stream_ms", "number", "time of the stream's calls with this shape, compilation included"),
        Column("captures", "integer", "programs that the JIT captured in these calls"),
        Column("compile_ms", "number", "time in these calls for generating and compiling kernels"),
        Column("cached_programs", "integer", "kernels that these calls added to those compiled"),
        Column("wasted_fraction", "number", "of the computed rows, those that are padding"),
        Column("fastest", "boolean", "told from every other variant at this shape, once all are compiled"),
        *COMPILED,
        *REASON,
        "max_abs_error",
        Column("note", "text", "what a strategy cannot do at these shapes"),
    ],
    details={
        "stream": STREAM,
    },
    grid=("shape",),
    summary=(
        "shape",
        "variant",
        "calls",
        "latency_ms",
        "speedup",
        "verdict",
        "captures",
        "compile_ms",
        "wasted_fraction",
    ),
    inspects=True,
    answer=lambda frame: answer(frame),
)
def shapes(spec: ShapesSpec, bench: Bench) -> Iterator[Row]:
    """Serves a stream of calls whose shapes change in four ways, each from cold, and times each shape once warm.

    `eager` has no JIT. `one jit per shape` captures a program for every new shape. `symbolic batch` captures one
    program for all batch sizes, with a tinygrad Variable in place of the size. `pad to bucket` fills the batch up to
    the next of a few sizes with zeros and captures a program for each of those. Only the batch can be symbolic or
    padded here: shapes that differ in another size still cost a program each, and the note of the row says so.
    The stream is seeded and Zipf-like: a few shapes are frequent, many are rare. Each strategy runs through all of it
    once, in a process of its own with an empty kernel cache: `stream_ms`, `captures`, `compile_ms` and
    `cached_programs` are what its calls cost there, shape by shape, and add up to the whole stream. A program's
    first call compiles, its second captures. These are single measurements without an interval.
    Latency is one synchronised call of a shape, everything compiled; `fastest` by sign tests within the blocks.
    Inputs are on the device beforehand, each in the form that its strategy wants: padded, or as a view, made once, of a
    buffer that holds the largest batch. A view made for each call would cost the symbolic batch a millisecond or so.
    tinygrad's CUDA graph refuses a program of symbolic sizes: there the symbolic batch launches its kernels one by one.
    Not measured: bringing the inputs to the device and results back, opening the device, calls nobody waits for.
    Results without the padding are compared with numpy in float64 and with eager execution; atol 1e-5 + rtol 1e-4 of
    the largest value. Source: the shape specialisation part of the tinygrad course.
    """
    from experiments.compiler.shaping.strategies import strategy

    bench.progress(0, "the stream from cold, each strategy in a fresh process")
    given: dict[str, dict[str, Value]] = {
        name: {"variant": name, "spec": spec.model_dump_json()} for name in STRATEGIES
    }
    with bench.colds("experiments.compiler.shaping.streams:replay", given) as fresh:
        made = operation(spec.operation, spec.grid[0][1], bench.device)  # while the processes prepare
        served: dict[str, Strategy] = {
            name: strategy(name, made.function, spec.grid, spec.buckets, bench.device) for name in STRATEGIES
        }
        for process in fresh.values():
            process.wait_until_ready()
        streams = {name: records(spec.sequence, name, process.go()) for name, process in fresh.items()}
    for calls in streams.values():
        bench.detail("stream", calls)
    for number, shape in enumerate(spec.grid):
        bench.progress((number + 1) / (len(spec.grid) + 1), f"shape {text_of(shape)}, everything compiled")
        yield from _measure(spec, bench, shape, made, served, streams)


def _measure(
    spec: ShapesSpec,
    bench: Bench,
    shape: Shape,
    made: Operation,
    served: "Mapping[str, Strategy]",
    streams: Mapping[str, list[dict[str, Value]]],
) -> Iterator[Row]:
    from experiments.compiler.shaping.strategies import drawn

    output = output_shape(spec.operation, shape)
    reference = made.reference(drawn(shape))
    eager = served[EAGER].result(shape, output)
    errors = {}
    for name, one in served.items():
        for _ in range(3):  # eager, capture, replay: what is checked is a replay
            result = one.result(shape, output)
        errors[name] = max(max_abs_error(result, reference), max_abs_error(result, eager))
    wrong = {name: error > tolerance(reference, ATOL, RTOL) for name, error in errors.items()}
    compared = bench.compare({name: partial(one, shape) for name, one in served.items()}, EAGER)
    best = fastest({name: timing.blocks for name, timing in compared.timings.items() if not wrong[name]})
    for name, values in _counted(bench, shape, served, compared).items():
        yield timed_row(
            compared,
            name,
            wrong=wrong[name],
            operation=spec.operation,
            shape=text_of(shape),
            **costs(streams[name], text_of(shape)),
            wasted_fraction=served[name].wasted(shape),
            fastest=name == best,
            **values,
            max_abs_error=errors[name],
            note=_note(spec, name),
        )


def _counted(
    bench: Bench, shape: Shape, served: "Mapping[str, Strategy]", compared: Comparison
) -> dict[str, dict[str, Value]]:
    """Counted work, rates and reasons of each strategy's call; eager launches the kernels of this shape's own JIT."""
    from experiments.bench.kernels import captured_work

    found: dict[str, dict[str, Value]] = {}
    for names in ((PER_SHAPE, EAGER), (SYMBOLIC,), (BUCKET,)):
        one = served[names[0]]
        latencies_s: dict[str, float] = {name: compared.latency(name).median for name in names}
        inputs = (one.input_of(shape),)
        work: Work = captured_work(one.jit_of(shape), inputs)
        reasons = bench.inspect(latencies_s, one.function, one.jit_of(shape), inputs, shape=text_of(shape))
        for name in names:
            counts: dict[str, Value] = {"kernels": work.kernels, "ops": work.ops, "bytes": work.bytes}
            found[name] = {**counts, **rates(work.ops, work.bytes, latencies_s[name]), **reasons[name]}
    return {name: found[name] for name in STRATEGIES}


def _note(spec: ShapesSpec, name: str) -> str | None:
    """Why a symbolic or padded batch is not enough for these shapes."""
    others = list(dict.fromkeys(shape[1:] for shape in spec.grid))
    if name in (EAGER, PER_SHAPE) or len(others) == 1:
        return None
    what = "symbolic" if name == SYMBOLIC else "padded"
    return f"only the batch is {what}: {' and '.join(text_of(one) for one in others)} are programs of their own"


def answer(frame: "pd.DataFrame") -> str:
    """One sentence: the best strategy of the stream with compilation and of the same calls once compiled."""
    whole = frame.groupby("shape")["variant"].nunique()
    rows = frame[frame["shape"].isin(whole[whole == len(STRATEGIES)].index)]
    wrong = set(rows.loc[rows["verdict"] == "wrong", "variant"])
    rows = rows[~rows["variant"].isin(wrong)]
    if rows["shape"].nunique() < 2:  # the first shapes are no stream yet
        return ""
    cold = rows.groupby("variant")["stream_ms"].sum().sort_values() / 1e3
    warm = rows.assign(ms=rows["latency_ms"] * rows["calls"]).groupby("variant")["ms"].sum().sort_values() / 1e3
    totals = rows.groupby("variant")[["calls", "captures", "compile_ms"]].sum()
    calls, best, steady = int(totals["calls"].iloc[0]), str(cold.index[0]), str(warm.index[0])
    others = ", ".join(f"{name} {seconds:.3g} s" for name, seconds in cold.iloc[1:].items())
    said = (
        f"On {rows['device'].iloc[0]} {best} is the best strategy for this stream of {calls} calls with "
        f"{rows['shape'].nunique()} shapes: {cold.iloc[0]:.3g} s with compilation ({others}; each measured once)"
    )
    if PER_SHAPE in totals.index:
        captures, compile_ms = (float(totals[column][PER_SHAPE]) for column in ("captures", "compile_ms"))
        said += f"; a JIT per shape captures {captures:.0f} programs and compiles for {compile_ms / 1e3:.3g} s"
    sure = int(rows.loc[rows["variant"] == steady, "fastest"].astype("boolean").fillna(False).sum())
    said += f"; once everything is compiled {steady} takes least, {warm.iloc[0] / calls * 1e3:.3g} ms a call, "
    said += f"the fastest for certain at {sure}" if sure else "told from the others at none"
    said += f" of the {rows['shape'].nunique()} shapes"
    said += f"; {' and '.join(sorted(wrong))} computes wrongly" if wrong else ""
    return said + "."
