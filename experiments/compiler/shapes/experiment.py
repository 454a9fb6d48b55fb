"""The cost of changing input shapes with TinyJit, and the best strategy for a stream of such calls."""

import random
from collections.abc import Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING

from experiments.bench.columns import COMPILED, TIMED, Column, Value
from experiments.bench.profile import REASON
from experiments.bench.rows import Row
from experiments.bench.session import Bench, max_abs_error, timed_row, tolerance
from experiments.bench.spec import experiment
from experiments.bench.statistics.series import fastest
from experiments.bench.timing.measure import Comparison
from experiments.compiler.shapes.operations import Operation, TensorShape, format_shape, operation, output_shape
from experiments.compiler.shapes.spec import BUCKET, EAGER, PER_SHAPE, STRATEGIES, SYMBOLIC, ShapesSpec
from experiments.compiler.shapes.streams import STREAM, CallRecords, costs, median_round, records, rounds_won

if TYPE_CHECKING:
    import pandas as pd

    from experiments.compiler.shapes.strategies import Strategy

ATOL, RTOL = 1e-5, 1e-4  # float32 sums of up to 8192 products against float64


@experiment(
    section="Compiler",
    title="Shape specialization",
    question="What does each new shape cost a JIT, and which strategy handles changing shapes best?",
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
        Column("operation", "text", "operation applied to the input"),
        Column("shape", "text", "input shape"),
        Column("calls", "integer", "calls of the stream with this shape"),
        *TIMED,
        Column("stream_ms", "number", "total time of the stream's calls with this shape, compilation included"),
        Column("rounds", "integer", "how often the whole stream was run from a cold start"),
        Column("rounds_won", "integer", "rounds in which this strategy ran the whole stream fastest"),
        Column("captures", "integer", "programs captured by the JIT in these calls"),
        Column("compile_ms", "number", "time in these calls spent on generating and compiling kernels"),
        Column("cached_programs", "integer", "kernels newly compiled in these calls"),
        Column("wasted_fraction", "number", "fraction of the computed rows that are padding"),
        Column(
            "fastest",
            "boolean",
            "whether it is significantly faster than all other variants at this shape (steady state)",
        ),
        *COMPILED,
        *REASON,
        "max_abs_error",
        Column("note", "text", "limits of the strategy at these shapes"),
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
    """Runs a stream of calls with changing shapes under four strategies, from a cold start, then times each shape warm.

    `eager` has no JIT. `one jit per shape` captures a program for every new shape. `symbolic batch` captures one
    program for all batch sizes, with a tinygrad Variable as the batch size. `pad to bucket` pads the batch with zeros
    to the next of a few sizes and captures a program for each of those. Only the batch can be symbolic or padded
    here: shapes that differ in another size still cost a program each, as the row's note states.
    The stream is seeded and Zipf-distributed: a few shapes are frequent, many are rare. In each round every strategy
    runs all of it once, one after another in random order, in a fresh process with an empty kernel cache.
    `stream_ms`, `captures`, `compile_ms` and `cached_programs` are the costs of a shape's calls there and add up to
    the whole stream; they are from the round with the strategy's median total. A few rounds give no interval, so
    `rounds_won` counts the rounds that a strategy won. A program's first call compiles, its second captures.
    Latency is one synchronized call of a shape, everything compiled; `fastest` by sign tests within the blocks.
    Inputs are on the device beforehand, in the form that the strategy requires: padded, or as a view, created once,
    of a buffer that holds the largest batch. Creating the view in each call would add about a millisecond.
    tinygrad's CUDA graph rejects programs with symbolic sizes: there the symbolic batch launches kernels one by one.
    Not measured: copying inputs to the device and results back, opening the device, asynchronous calls.
    Results without the padding are compared with numpy in float64 and with eager execution; atol 1e-5 + rtol 1e-4 of
    the largest value. Source: the shape specialization part of the tinygrad course.
    """
    from experiments.compiler.shapes.strategies import strategy

    order = random.Random(spec.seed)  # noqa: S311 - an order, not a secret
    streams: dict[str, list[CallRecords]] = {name: [] for name in STRATEGIES}
    steps = spec.rounds + len(spec.grid)
    for number in range(spec.rounds):
        bench.progress(number / steps, f"cold stream, round {number + 1}: each strategy in a fresh process")
        for name, calls in _from_cold(spec, bench, number + 1, order).items():
            streams[name].append(calls)
    chosen = operation(spec.operation, spec.grid[0][1], bench.device)
    strategies: dict[str, Strategy] = {
        name: strategy(name, chosen.function, spec.grid, spec.buckets, bench.device) for name in STRATEGIES
    }
    for number, shape in enumerate(spec.grid, start=spec.rounds):
        bench.progress(number / steps, f"shape {format_shape(shape)}, everything compiled")
        yield from _measure(spec, bench, shape, chosen, strategies, streams)


def _from_cold(spec: ShapesSpec, bench: Bench, number: int, order: random.Random) -> dict[str, CallRecords]:
    """One round of the stream: every strategy in turn, alone on the machine; stored as the detail `stream`."""
    arguments: dict[str, dict[str, Value]] = {
        name: {"variant": name, "spec": spec.model_dump_json()} for name in STRATEGIES
    }
    with bench.cold_starts("experiments.compiler.shapes.streams:replay", arguments) as fresh:
        for process in fresh.values():
            process.wait_until_ready()
        shuffled = order.sample(list(fresh), len(fresh))
        streams = {name: records(spec.sequence, name, number, fresh[name].ask_and_close()) for name in shuffled}
    for calls in streams.values():
        bench.detail("stream", calls)
    return streams


def _measure(
    spec: ShapesSpec,
    bench: Bench,
    shape: TensorShape,
    chosen: Operation,
    strategies: "Mapping[str, Strategy]",
    streams: Mapping[str, list[CallRecords]],
) -> Iterator[Row]:
    from experiments.bench.tinygrad.capture import replayed
    from experiments.compiler.shapes.strategies import sample_input

    output = output_shape(spec.operation, shape)
    reference = chosen.reference(sample_input(shape))
    eager = strategies[EAGER].result(shape, output)
    errors = {}
    for name, each in strategies.items():
        result = replayed(each.result, shape, output)
        errors[name] = max(max_abs_error(result, reference), max_abs_error(result, eager))
    wrong = {name: error > tolerance(reference, ATOL, RTOL) for name, error in errors.items()}
    compared = bench.compare({name: partial(each, shape) for name, each in strategies.items()}, EAGER)
    winners = rounds_won(streams)
    best = fastest({name: timing.blocks for name, timing in compared.timings.items() if not wrong[name]})
    for name, values in _work_and_reasons(bench, shape, strategies, compared).items():
        yield timed_row(
            compared,
            name,
            wrong=wrong[name],
            operation=spec.operation,
            shape=format_shape(shape),
            **costs(median_round(streams[name]), format_shape(shape)),
            rounds=spec.rounds,
            rounds_won=winners[name],
            wasted_fraction=strategies[name].wasted(shape),
            fastest=name == best,
            **values,
            max_abs_error=errors[name],
            note=_note(spec, name),
        )


def _work_and_reasons(
    bench: Bench, shape: TensorShape, strategies: "Mapping[str, Strategy]", compared: Comparison
) -> dict[str, dict[str, Value]]:
    """Counted work, rates and bound of each strategy's call; eager runs the same kernels as the JIT of this shape."""
    from experiments.bench.tinygrad.capture import captured_work

    found: dict[str, dict[str, Value]] = {}
    for names in ((PER_SHAPE, EAGER), (SYMBOLIC,), (BUCKET,)):
        profiled = strategies[names[0]]
        latencies_s: dict[str, float] = {name: compared.latency(name).median for name in names}
        inputs, jit = (profiled.input_of(shape),), profiled.jit_of(shape)
        work = captured_work(jit, inputs)
        reasons = bench.inspect(latencies_s, profiled.function, jit, inputs, shape=format_shape(shape))
        for name in names:
            found[name] = {**work.columns(latencies_s[name]), **reasons[name]}
    return {name: found[name] for name in STRATEGIES}


def _note(spec: ShapesSpec, name: str) -> str | None:
    """Why one symbolic or padded batch is not enough for these shapes."""
    other_sizes = list(dict.fromkeys(shape[1:] for shape in spec.grid))
    if name in (EAGER, PER_SHAPE) or len(other_sizes) == 1:
        return None
    how = "symbolic" if name == SYMBOLIC else "padded"
    return f"only the batch is {how}: {' and '.join(map(format_shape, other_sizes))} need separate programs"


def answer(frame: "pd.DataFrame") -> str:
    """The best strategy for the stream from a cold start, and the best one once everything is compiled."""
    measured = frame.groupby("shape")["variant"].nunique()
    rows = frame[frame["shape"].isin(measured[measured == len(STRATEGIES)].index)]
    wrong = set(rows.loc[rows["verdict"] == "wrong", "variant"])
    rows = rows[~rows["variant"].isin(wrong)]
    if rows["shape"].nunique() < 2:  # one shape is not a stream
        return ""
    cold = rows.groupby("variant")["stream_ms"].sum().sort_values() / 1e3
    warm = rows.assign(ms=rows["latency_ms"] * rows["calls"]).groupby("variant")["ms"].sum().sort_values() / 1e3
    best, steady, calls = str(cold.index[0]), str(warm.index[0]), int(rows.groupby("variant")["calls"].sum().iloc[0])
    wins = int(rows.loc[rows["variant"] == steady, "fastest"].astype("boolean").fillna(False).sum())
    shapes = rows["shape"].nunique()
    sentences = [
        f"On {rows['device'].iloc[0]}, {best} is the best strategy for this stream of {calls} calls with {shapes} "
        f"shapes: from a cold start it takes {cold.iloc[0]:.3g} s, {_rounds(rows[rows['variant'] == best])} "
        f"({', '.join(f'{name} {seconds:.3g} s' for name, seconds in cold.iloc[1:].items())}).",
        *_captured(rows[rows["variant"] == PER_SHAPE]),
        f"Once everything is compiled, {steady} is fastest, {warm.iloc[0] / calls * 1e3:.3g} ms a call, "
        + (f"significantly at {wins}" if wins else "not significantly at any")
        + f" of the {shapes} shapes.",
        *(f"{name.capitalize()} gives wrong results." for name in sorted(wrong)),
    ]
    return " ".join(sentences)


def _rounds(best: "pd.DataFrame") -> str:
    """How many rounds the best strategy won."""
    rounds, won = int(best["rounds"].iloc[0]), int(best["rounds_won"].iloc[0])
    return "measured once" if rounds == 1 else f"the fastest in {won} of {rounds} rounds"


def _captured(per_shape: "pd.DataFrame") -> list[str]:
    """The cost of a JIT that captures every new shape."""
    if per_shape.empty:
        return []
    captures, compile_s = int(per_shape["captures"].sum()), float(per_shape["compile_ms"].sum()) / 1e3
    return [f"One JIT per shape captures {captures} programs and spends {compile_s:.3g} s on compilation."]
