"""Two runs of one spec get no verdict: simulated, with the variation between runs known, estimated and defaulted."""

import math
import random

import pytest
from scipy import stats

from experiments.bench.statistics.between_runs import (
    MIN_REPEATS,
    RunLatency,
    RunVariation,
    UnpairedRatio,
    runs_ratio,
    variation_of,
    verdicts,
)
from experiments.bench.statistics.intervals import Interval, Z

PAIRS = 4000
WITHIN = 0.004  # standard deviation of the logarithm within a run


def reported(rng, between, truth=1.0):
    """The latency that one run reports, with the interval of its own samples."""
    median = truth * math.exp(rng.gauss(0, between) + rng.gauss(0, WITHIN))
    return Interval(median, median * math.exp(-Z * WITHIN), median * math.exp(Z * WITHIN))


def ratio_of(rng, between, variation, truth=1.0):
    """The ratio of two runs, the first of which takes `truth` times as long."""
    return runs_ratio(
        RunLatency(reported(rng, between, truth), variation), RunLatency(reported(rng, between), variation)
    )


def ratio(numerator, denominator, variation):
    return runs_ratio(RunLatency(numerator, variation), RunLatency(denominator, variation))


def share_of_verdicts(compare, points=1):
    """In how many pairs of runs any point gets a verdict."""
    rng = random.Random(points)
    return sum(set(verdicts([compare(rng) for _ in range(points)])) != {"cannot tell"} for _ in range(PAIRS)) / PAIRS


@pytest.mark.parametrize("points", [1, 4, 20])
def test_runs_of_one_spec_get_a_verdict_in_at_most_5_percent_with_the_right_default(points):
    seen = share_of_verdicts(lambda rng: ratio_of(rng, 0.01, RunVariation(0.01)), points)
    assert 0.03 < seen < 0.06


@pytest.mark.parametrize("repeats", [3, 5, 20])
@pytest.mark.parametrize("between", [0.002, 0.01, 0.1])
def test_runs_of_one_spec_get_a_verdict_in_at_most_5_percent_with_further_repeats(repeats, between):
    def compare(rng):
        return ratio_of(rng, between, variation_of([reported(rng, between).median for _ in range(repeats)]))

    assert share_of_verdicts(compare) < 0.06


@pytest.mark.slow
@pytest.mark.parametrize("repeats", [3, 5, 20])
def test_runs_of_one_spec_get_a_verdict_in_at_most_5_percent_where_they_are_among_the_repeats(repeats):
    def compare(rng):
        runs = [reported(rng, 0.05) for _ in range(repeats)]
        return ratio(runs[0], runs[1], variation_of([run.median for run in runs]))

    assert share_of_verdicts(compare, points=4) < 0.06


@pytest.mark.parametrize(("default", "truth", "least"), [(0.01, 1.1, 0.99), (0.01, 1.05, 0.85), (0.08, 1.5, 0.9)])
def test_a_difference_well_beyond_the_variation_between_runs_is_found(default, truth, least):
    assert share_of_verdicts(lambda rng: ratio_of(rng, default, RunVariation(default), truth)) >= least


def test_the_interval_holds_the_truth_in_95_percent():
    rng = random.Random(0)
    held = sum(ratio_of(rng, 0.02, RunVariation(0.02), 1.3).interval.contains(1.3) for _ in range(PAIRS))
    assert 0.94 < held / PAIRS < 0.96


def test_a_default_adds_to_the_variation_within_the_runs_and_repeats_hold_it():
    latency = Interval(1.0, math.exp(-Z * 0.03), math.exp(Z * 0.03))
    default = ratio(latency, latency, RunVariation(0.04)).interval
    assert math.log(default.hi) == pytest.approx(Z * math.sqrt(2) * 0.05)
    few = runs_ratio(RunLatency(latency, RunVariation(0.04, 3)), RunLatency(latency, RunVariation(0.04, 9))).interval
    assert math.log(few.hi) == pytest.approx(4.303 * math.sqrt(2) * 0.04)
    lucky = ratio(latency, latency, RunVariation(0.0001, 9)).interval
    assert math.log(lucky.hi) == pytest.approx(2.306 * math.sqrt(2) * 0.03)


@pytest.mark.parametrize("repeats", [0, 3, 12])
def test_interval_and_p_value_agree(repeats):
    variation = RunVariation(0.01, repeats)
    exact = Interval(1.0, 1.0, 1.0)
    for percent in range(-8, 9):
        moved = Interval(*[1 + percent / 100] * 3)
        found = ratio(moved, exact, variation)
        assert found.interval.contains(1.0) == (found.p_value > 0.05)
        t = abs(math.log(moved.median)) / 0.01 / math.sqrt(2)
        truth = 2 * (stats.t.sf(t, repeats - 1) if repeats else stats.norm.sf(t))
        assert found.p_value == pytest.approx(truth, abs=1e-9)


def test_a_run_without_an_interval_gets_no_verdict():
    usual, known, unknown = RunVariation(0.01), Interval(1.0, 0.9, 1.1), Interval(2.0, None, None)
    assert ratio(unknown, known, usual) == UnpairedRatio(Interval(2.0, None, None), 1.0)
    assert ratio(known, unknown, usual).interval == Interval(0.5, None, None)


def test_the_deviation_is_of_logarithms_and_wants_three_runs():
    assert MIN_REPEATS == 3
    assert variation_of([1.0, 2.0]) is None
    assert variation_of([1.0, math.e, math.e**2]) == RunVariation(pytest.approx(1.0), 3)


def test_verdicts_name_the_denominator_and_are_corrected_for_their_number():
    def at(ratio, p):
        return UnpairedRatio(Interval(ratio, None, None), p)

    assert verdicts([at(1.1, 0.01), at(0.9, 0.01), at(1.0, 0.5)]) == ["faster", "slower", "cannot tell"]
    assert verdicts([at(1.1, 0.03)]) == ["faster"]
    assert verdicts([at(1.1, 0.03), at(1.1, 0.03)]) == ["cannot tell", "cannot tell"]
    assert verdicts([]) == []


def test_runs_without_any_variation_are_equal_or_not():
    none, exact = RunVariation(0.0), Interval(1.0, 1.0, 1.0)
    assert ratio(exact, exact, none).p_value == 1.0
    assert ratio(Interval(2.0, 2.0, 2.0), exact, none).p_value == 0.0


@pytest.mark.parametrize(
    ("slower_numerator", "slower_denominator", "seen", "verdict"),
    [
        (1.0, 1.0, 1.5, "faster"),
        (2.0, 1.0, 1.5, "cannot tell"),
        (1.0, 2.0, 1.5, "faster"),
        (2.0, 1.0, 3.0, "faster"),
        (1.0, 2.0, 0.7, "cannot tell"),
        (2.0, 1.0, 0.7, "slower"),
    ],
)
def test_a_difference_that_other_processes_may_explain_is_none(slower_numerator, slower_denominator, seen, verdict):
    exact, usual = Interval(seen, seen, seen), RunVariation(0.01)
    found = runs_ratio(
        RunLatency(exact, usual, slower_numerator), RunLatency(Interval(1.0, 1.0, 1.0), usual, slower_denominator)
    )
    assert verdicts([found]) == [verdict]
    assert found.interval.contains(1.0) == (verdict == "cannot tell")
