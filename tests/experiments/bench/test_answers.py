import math

import pandas as pd
import pytest

from experiments.bench.answers import bound_reason, default_answer, describe_speedup


def row(**changes):
    return {
        "device": "CPU",
        "variant": "jit",
        "baseline": "eager",
        "batch": 16,
        "speedup": 4.0,
        "speedup_lo": 3.9,
        "speedup_hi": 4.1,
        "verdict": "faster",
    } | changes


NO_RATIO = dict.fromkeys(("speedup", "speedup_lo", "speedup_hi"), math.nan)  # as a frame has them


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "makes it 4x faster (95% CI 3.9 to 4.1)"),
        ({"speedup": 12.345, "speedup_lo": 12.04, "speedup_hi": 12.6}, "makes it 12.3x faster (95% CI 12 to 12.6)"),
        (
            {"verdict": "slower", "speedup": 0.5, "speedup_lo": 0.4, "speedup_hi": 0.6},
            "makes it 2x slower (ratio 0.5, 95% CI 0.4 to 0.6)",
        ),
        (
            {"verdict": "cannot tell", "speedup": 1.01, "speedup_lo": 0.98, "speedup_hi": 1.03},
            "makes no significant difference to it (ratio 1.01, 95% CI 0.98 to 1.03)",
        ),
        ({"verdict": "wrong", **NO_RATIO}, "computes it incorrectly"),
        ({"verdict": "timeout", **NO_RATIO}, "gave no timing of it (timeout)"),
        ({"verdict": "failed", **NO_RATIO}, "gave no timing of it (failed)"),
    ],
)
def test_the_words_follow_the_verdict(changes, words):
    assert describe_speedup(row(**changes), "it") == words


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        (
            {"bound": "launch", "launch_share": 0.904, "kernel_ms": 0.0069, "kernels": 3},
            " (90% of that call is launch overhead: 3 kernels of 2.3 µs each)",
        ),
        (
            {"bound": "launch", "launch_share": 0.6, "kernel_ms": 0.002, "kernels": 1},
            " (60% of that call is launch overhead: one short kernel)",
        ),
        (
            {"bound": "memory", "roof_fraction": 0.25},
            " (that call is memory-bound, at 25% of the measured memory ceiling)",
        ),
        (
            {"bound": "compute", "roof_fraction": 1.0},
            " (that call is compute-bound, at 100% of the measured float32 ceiling)",
        ),
        ({"bound": math.nan}, ""),
        ({"bound": None}, ""),
        ({"bound": pd.NA}, ""),
    ],
)
def test_the_reason_names_what_bounds_the_call(cells, words):
    assert bound_reason(row(**cells)) == words


def plain(*rows, grid=("batch",)):
    frame = pd.DataFrame(rows, columns=[*row(), *({"size"} if "size" in grid else ())])
    return default_answer(frame, grid)


def test_a_plain_answer_tells_each_variant_at_the_last_point():
    base = row(variant="eager", verdict="baseline", **NO_RATIO)
    assert plain(base, row(), base, row(batch=64), row(batch=64, variant="beam", verdict="failed", **NO_RATIO)) == (
        "On CPU, at batch 64, compared with eager: jit makes the call 4x faster (95% CI 3.9 to 4.1); "
        "beam gave no timing of the call (failed)."
    )


def test_an_axis_that_does_not_apply_is_left_out():
    assert plain(row(), grid=("batch", "size")).startswith("On CPU, at batch 16, compared with eager: jit ")
    assert plain(row(), grid=()).startswith("On CPU, compared with eager: jit ")


def test_there_is_no_plain_answer_without_a_comparison():
    assert plain() == ""
    assert plain(row(verdict="baseline", **NO_RATIO), row(verdict=None, **NO_RATIO)) == ""
