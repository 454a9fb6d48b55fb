"""A stream of calls run through one strategy from cold, and what it cost."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from experiments.bench.columns import Column, Value
from experiments.compiler.shapes.operations import operation
from experiments.compiler.shapes.shape import Shape, StrategyName, text_of
from experiments.compiler.shapes.spec import ShapesSpec

STREAM = (
    Column("variant", "text", "the strategy"),
    Column("round", "integer", "number of the round, from 1; those of one round ran one after another"),
    Column("call", "integer", "number of the call, from 1"),
    Column("called_shape", "text", "shape of the input of this call"),
    Column("call_ms", "number", "time of this call, synchronised"),
    Column("compiling_ms", "number", "of this the generating and compiling of kernels"),
    Column("captures_so_far", "integer", "programs captured up to and with this call"),
    Column("programs_so_far", "integer", "kernels compiled up to and with this call"),
)

Calls = list[dict[str, Any]]  # records of one stream


def replay(device: str, variant: StrategyName, spec: str) -> Callable[[], dict[str, list[Any]]]:
    """In a fresh process: runs one strategy through the whole stream; lists with one value per call."""
    from experiments.bench.tinygrad.phases import Stopwatch, watch_stages
    from experiments.bench.tinygrad.runtime import compiled_programs, synchronizer, throw_away_compile
    from experiments.compiler.shapes.strategies import strategy

    parsed = ShapesSpec.model_validate_json(spec)
    synchronize = synchronizer(device)
    throw_away_compile(device)
    function = operation(parsed.operation, parsed.grid[0][1], device).function
    call = strategy(variant, function, parsed.grid, parsed.buckets, device)
    watch = Stopwatch()
    watch_stages(watch)

    def measure() -> dict[str, list[Any]]:
        seen: dict[str, list[Any]] = {"call_s": [], "compile_s": [], "captures": [], "programs": []}
        before = known = compiled_programs()
        for shape in parsed.sequence:
            synchronize()
            watch.take()
            start = time.perf_counter()
            call(shape)
            synchronize()
            seen["call_s"].append(time.perf_counter() - start)
            phases, now = watch.take(), compiled_programs()
            compiling_s = phases.get("code generation", 0.0) + phases.get("compiler", 0.0)
            seen["compile_s"].append(compiling_s if now > known else 0.0)  # else it was looking up
            seen["captures"].append(call.captures)
            seen["programs"].append(now - before)
            known = now
        return seen

    return measure


def records(sequence: Sequence[Shape], variant: str, number_of_round: int, seen: Mapping[str, list[Any]]) -> Calls:
    """What `replay` has seen as the detail `stream`, one record per call."""
    return [
        {
            "variant": variant,
            "round": number_of_round,
            "call": number,
            "called_shape": text_of(shape),
            "call_ms": seen["call_s"][number - 1] * 1e3,
            "compiling_ms": seen["compile_s"][number - 1] * 1e3,
            "captures_so_far": seen["captures"][number - 1],
            "programs_so_far": seen["programs"][number - 1],
        }
        for number, shape in enumerate(sequence, start=1)
    ]


def usual(rounds: Sequence[Calls]) -> Calls:
    """The calls of the round that took the median time in all; of an even number of rounds the lower one."""
    return sorted(rounds, key=total_ms)[(len(rounds) - 1) // 2]


def total_ms(calls: Calls) -> float:
    """What a whole stream took."""
    return float(sum(one["call_ms"] for one in calls))


def won(streams: Mapping[str, Sequence[Calls]]) -> dict[str, int]:
    """In how many rounds each strategy's whole stream took least."""
    rounds = zip(*streams.values(), strict=True)
    winners = [min(zip(map(total_ms, one), streams, strict=True))[1] for one in rounds]
    return {name: winners.count(name) for name in streams}


def costs(calls: Calls, shape: str) -> dict[str, Value]:
    """What the calls of one shape cost a strategy in its stream; summed over the shapes, what the stream cost."""
    before = [{"captures_so_far": 0, "programs_so_far": 0}, *calls]
    mine = [(one, last) for one, last in zip(calls, before, strict=False) if one["called_shape"] == shape]
    return {
        "calls": len(mine),
        "stream_ms": sum((one["call_ms"] for one, _ in mine), 0.0),
        "captures": sum(one["captures_so_far"] - last["captures_so_far"] for one, last in mine),
        "compile_ms": sum((one["compiling_ms"] for one, _ in mine), 0.0),
        "cached_programs": sum(one["programs_so_far"] - last["programs_so_far"] for one, last in mine),
    }
