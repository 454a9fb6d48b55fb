"""Runs a stream of calls through one strategy from a cold start, and sums up what it cost."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from experiments.bench.columns import Column, Value
from experiments.compiler.shapes.operations import TensorShape, format_shape, operation
from experiments.compiler.shapes.spec import ShapesSpec, StrategyName

STREAM = (
    Column("variant", "text", "the strategy"),
    Column("round", "integer", "number of the round, from 1; the streams of a round ran one after another"),
    Column("call", "integer", "number of the call, from 1"),
    Column("called_shape", "text", "input shape of this call"),
    Column("call_ms", "number", "time of this call, synchronized"),
    Column("compiling_ms", "number", "part of call_ms spent on generating and compiling kernels"),
    Column("captures_so_far", "integer", "programs captured up to and including this call"),
    Column("programs_so_far", "integer", "kernels compiled up to and including this call"),
)

CallRecords = list[dict[str, Any]]  # the records of one stream, one per call


def replay(device: str, variant: StrategyName, spec: str) -> Callable[[], dict[str, list[Any]]]:
    """In a fresh process: runs the whole stream through one strategy; returns lists with one value per call."""
    from experiments.bench.tinygrad.phases import Stopwatch, watch_stages
    from experiments.bench.tinygrad.runtime import compiled_programs, synchronizer, warm_up_compiler
    from experiments.compiler.shapes.strategies import strategy

    parsed = ShapesSpec.model_validate_json(spec)
    synchronize = synchronizer(device)
    warm_up_compiler(device)
    function = operation(parsed.operation, parsed.grid[0][1], device).function
    call = strategy(variant, function, parsed.grid, parsed.buckets, device)
    watch = Stopwatch()
    watch_stages(watch)

    def measure() -> dict[str, list[Any]]:
        measured: dict[str, list[Any]] = {"call_s": [], "compile_s": [], "captures": [], "programs": []}
        start_count = last_count = compiled_programs()
        for shape in parsed.sequence:
            synchronize()
            watch.take()
            start = time.perf_counter()
            call(shape)
            synchronize()
            measured["call_s"].append(time.perf_counter() - start)
            phases, count = watch.take(), compiled_programs()
            compiling_s = phases.get("code generation", 0.0) + phases.get("compiler", 0.0)
            measured["compile_s"].append(compiling_s if count > last_count else 0.0)  # otherwise only cache lookups
            measured["captures"].append(call.captures)
            measured["programs"].append(count - start_count)
            last_count = count
        return measured

    return measure


def records(
    sequence: Sequence[TensorShape], variant: str, round_number: int, measured: Mapping[str, list[Any]]
) -> CallRecords:
    """The lists that `replay` returned, as records of the detail `stream`, one per call."""
    return [
        {
            "variant": variant,
            "round": round_number,
            "call": number,
            "called_shape": format_shape(shape),
            "call_ms": measured["call_s"][number - 1] * 1e3,
            "compiling_ms": measured["compile_s"][number - 1] * 1e3,
            "captures_so_far": measured["captures"][number - 1],
            "programs_so_far": measured["programs"][number - 1],
        }
        for number, shape in enumerate(sequence, start=1)
    ]


def median_round(rounds: Sequence[CallRecords]) -> CallRecords:
    """The round with the median total time; of an even number of rounds the faster of the middle two."""
    return sorted(rounds, key=total_ms)[(len(rounds) - 1) // 2]


def total_ms(calls: CallRecords) -> float:
    """The total time of a stream."""
    return float(sum(call["call_ms"] for call in calls))


def rounds_won(streams: Mapping[str, Sequence[CallRecords]]) -> dict[str, int]:
    """In how many rounds each strategy had the shortest total time."""
    rounds = zip(*streams.values(), strict=True)
    winners = [min(zip(map(total_ms, streams_of_round), streams, strict=True))[1] for streams_of_round in rounds]
    return {name: winners.count(name) for name in streams}


def costs(calls: CallRecords, shape: str) -> dict[str, Value]:
    """The cost of one shape's calls in a stream; summed over the shapes, the cost of the whole stream."""
    previous = [{"captures_so_far": 0, "programs_so_far": 0}, *calls]
    pairs = [(call, last) for call, last in zip(calls, previous, strict=False) if call["called_shape"] == shape]
    return {
        "calls": len(pairs),
        "stream_ms": sum((call["call_ms"] for call, _ in pairs), 0.0),
        "captures": sum(call["captures_so_far"] - last["captures_so_far"] for call, last in pairs),
        "compile_ms": sum((call["compiling_ms"] for call, _ in pairs), 0.0),
        "cached_programs": sum(call["programs_so_far"] - last["programs_so_far"] for call, last in pairs),
    }
