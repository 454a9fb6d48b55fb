"""What changing shapes cost with TinyJit, and which way to serve them is best for a stream of calls."""

import random
from collections.abc import Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING

from experiments.bench.columns import COMPILED, TIMED, Column, Value
from experiments.bench.profile_columns import REASON
from experiments.bench.rows import Row
from experiments.bench.session import Bench, max_abs_error, timed_row, tolerance
from experiments.bench.spec import experiment
from experiments.bench.statistics.intervals import fastest
from experiments.bench.timing.measure import Comparison
from experiments.compiler.shapes.operations import Operation, operation, output_shape
from experiments.compiler.shapes.shape import BUCKET, EAGER, PER_SHAPE, STRATEGIES, SYMBOLIC, Shape, text_of
from experiments.compiler.shapes.spec import ShapesSpec
from experiments.compiler.shapes.streams import STREAM, Calls, costs, records, usual, won

if TYPE_CHECKING:
    import pandas as pd

    from experiments.compiler.shapes.strategies import Strategy

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
            operation="mlp", shapes=["1x64", "4x64", "2x64", "3x64"], buckets=[2, 4], calls=24, rounds=1, budget_s=0.3
        ),
    },
    columns=[
        Column("operation", "text", "what is applied to the input"),
        Column("shape", "text", "of the input"),
        Column("calls", "integer", "of the stream that have this shape"),
        *TIMED,
        Column("stream_ms", "number", "time of the stream's calls with this shape, compilation included"),
        Column("rounds", "integer", "how often the whole stream was run from cold"),
        Column("rounds_won", "integer", "of these, the ones in which this strategy's whole stream took least"),
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
    The stream is seeded and Zipf-like: a few shapes are frequent, many are rare. In each round every strategy runs
    through all of it once, one after another in random order, in a process of its own with an empty kernel cache.
    `stream_ms`, `captures`, `compile_ms` and `cached_programs` are what its calls cost there, shape by shape, and add
    up to the whole stream; they are of the round whose total is the strategy's median. A few rounds give no interval:
    what is told is in how many of them a strategy took least. A program's first call compiles, its second captures.
    Latency is one synchronised call of a shape, everything compiled; `fastest` by sign tests within the blocks.
    Inputs are on the device beforehand, each in the form that its strategy wants: padded, or as a view, made once, of a
    buffer that holds the largest batch. A view made for each call would cost the symbolic batch a millisecond or so.
    tinygrad's CUDA graph refuses a program of symbolic sizes: there the symbolic batch launches its kernels one by one.
    Not measured: bringing the inputs to the device and results back, opening the device, calls nobody waits for.
    Results without the padding are compared with numpy in float64 and with eager execution; atol 1e-5 + rtol 1e-4 of
    the largest value. Source: the shape specialisation part of the tinygrad course.
    """
    from experiments.compiler.shapes.strategies import strategy

    order = random.Random(spec.seed)  # noqa: S311 - an order, not a secret
    streams: dict[str, list[Calls]] = {name: [] for name in STRATEGIES}
    steps = spec.rounds + len(spec.grid)
    for number in range(spec.rounds):
        bench.progress(number / steps, f"the stream from cold, round {number + 1}: each strategy in a fresh process")
        for name, calls in _from_cold(spec, bench, number + 1, order).items():
            streams[name].append(calls)
    made = operation(spec.operation, spec.grid[0][1], bench.device)
    served: dict[str, Strategy] = {
        name: strategy(name, made.function, spec.grid, spec.buckets, bench.device) for name in STRATEGIES
    }
    for number, shape in enumerate(spec.grid, start=spec.rounds):
        bench.progress(number / steps, f"shape {text_of(shape)}, everything compiled")
        yield from _measure(spec, bench, shape, made, served, streams)


def _from_cold(spec: ShapesSpec, bench: Bench, number: int, order: random.Random) -> dict[str, Calls]:
    """One round: the calls of the stream through every strategy, each alone on the machine; kept as a detail."""
    given: dict[str, dict[str, Value]] = {
        name: {"variant": name, "spec": spec.model_dump_json()} for name in STRATEGIES
    }
    with bench.colds("experiments.compiler.shapes.streams:replay", given) as fresh:
        for process in fresh.values():
            process.wait_until_ready()
        shuffled = order.sample(list(fresh), len(fresh))
        seen = {name: records(spec.sequence, name, number, fresh[name].go()) for name in shuffled}
    for calls in seen.values():
        bench.detail("stream", calls)
    return seen


def _measure(
    spec: ShapesSpec,
    bench: Bench,
    shape: Shape,
    made: Operation,
    served: "Mapping[str, Strategy]",
    streams: Mapping[str, list[Calls]],
) -> Iterator[Row]:
    from experiments.bench.tinygrad.capture import replayed
    from experiments.compiler.shapes.strategies import drawn

    output = output_shape(spec.operation, shape)
    reference = made.reference(drawn(shape))
    eager = served[EAGER].result(shape, output)
    errors = {}
    for name, one in served.items():
        result = replayed(one.result, shape, output)
        errors[name] = max(max_abs_error(result, reference), max_abs_error(result, eager))
    wrong = {name: error > tolerance(reference, ATOL, RTOL) for name, error in errors.items()}
    compared = bench.compare({name: partial(one, shape) for name, one in served.items()}, EAGER)
    winners = won(streams)
    best = fastest({name: timing.blocks for name, timing in compared.timings.items() if not wrong[name]})
    for name, values in _counted(bench, shape, served, compared).items():
        yield timed_row(
            compared,
            name,
            wrong=wrong[name],
            operation=spec.operation,
            shape=text_of(shape),
            **costs(usual(streams[name]), text_of(shape)),
            rounds=spec.rounds,
            rounds_won=winners[name],
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
    from experiments.bench.tinygrad.capture import captured_work

    found: dict[str, dict[str, Value]] = {}
    for names in ((PER_SHAPE, EAGER), (SYMBOLIC,), (BUCKET,)):
        one = served[names[0]]
        latencies_s: dict[str, float] = {name: compared.latency(name).median for name in names}
        inputs = (one.input_of(shape),)
        work = captured_work(one.jit_of(shape), inputs)
        reasons = bench.inspect(latencies_s, one.function, one.jit_of(shape), inputs, shape=text_of(shape))
        for name in names:
            found[name] = {**work.columns(latencies_s[name]), **reasons[name]}
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
    best, steady, calls = str(cold.index[0]), str(warm.index[0]), int(rows.groupby("variant")["calls"].sum().iloc[0])
    sure = int(rows.loc[rows["variant"] == steady, "fastest"].astype("boolean").fillna(False).sum())
    shapes = rows["shape"].nunique()
    said = [
        f"On {rows['device'].iloc[0]} {best} is the best strategy for this stream of {calls} calls with {shapes} "
        f"shapes: from cold it takes {cold.iloc[0]:.3g} s, {_rounds(rows[rows['variant'] == best])} "
        f"({', '.join(f'{name} {seconds:.3g} s' for name, seconds in cold.iloc[1:].items())}).",
        *_captured(rows[rows["variant"] == PER_SHAPE]),
        f"Once everything is compiled, {steady} takes least, {warm.iloc[0] / calls * 1e3:.3g} ms a call, "
        + (f"the fastest for certain at {sure}" if sure else "told from the others at none")
        + f" of the {shapes} shapes.",
        *(f"{name.capitalize()} computes wrongly." for name in sorted(wrong)),
    ]
    return " ".join(said)


def _rounds(best: "pd.DataFrame") -> str:
    """In how many rounds the best strategy was the best."""
    rounds, won = int(best["rounds"].iloc[0]), int(best["rounds_won"].iloc[0])
    return "measured once" if rounds == 1 else f"the least in {won} of {rounds} rounds"


def _captured(per_shape: "pd.DataFrame") -> list[str]:
    """What new shapes cost the JIT that captures each of them."""
    if per_shape.empty:
        return []
    captures, compile_s = int(per_shape["captures"].sum()), float(per_shape["compile_ms"].sum()) / 1e3
    return [f"A JIT per shape captures {captures} programs and compiles for {compile_s:.3g} s."]
