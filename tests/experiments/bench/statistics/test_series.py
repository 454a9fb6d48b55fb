"""Exact small cases computed by hand and by scipy; behavior under noise is simulated in test_coverage.py."""

import math
import random
from statistics import median

import pytest
from scipy import stats

from experiments.bench.statistics.intervals import Interval
from experiments.bench.statistics.series import (
    detectable_difference,
    effective_count,
    fastest,
    paired_p,
    paired_ratio,
    series_interval,
    student_p,
    verdicts,
)

ALTERNATING = [1.0, 2.0] * 6  # the most that a series can avoid to resemble itself: every value counts


def shuffled(values, seed=0):
    """The values in an order in which neighbors do not resemble each other."""
    rng = random.Random(seed)
    orders = [rng.sample(values, len(values)) for _ in range(200)]
    return max(orders, key=effective_count)


def test_values_that_avoid_their_neighbors_all_count():
    assert effective_count(ALTERNATING) == 12
    assert effective_count([1.0] * 12) == 12


def test_values_in_rising_order_count_as_hardly_any():
    assert effective_count(list(range(100))) < 2


def test_few_independent_values_count_as_fewer_because_their_order_is_uncertain():
    counts = [effective_count(random.Random(seed).sample(range(12), 12)) for seed in range(300)]
    assert 7 < median(counts) < 10
    assert max(counts) == 12


def test_many_independent_values_nearly_all_count():
    counts = [effective_count(random.Random(seed).sample(range(400), 400)) for seed in range(50)]
    assert median(counts) > 350


def test_autocorrelated_values_count_as_their_theory_says():
    rng, counts = random.Random(1), []
    for _ in range(50):
        values = [rng.gauss(0, 1)]
        while len(values) < 400:
            values.append(0.8 * values[-1] + rng.gauss(0, 0.6))
        counts.append(effective_count(values))
    assert median(counts) == pytest.approx(400 * 0.2 / 1.8, rel=0.2)


def test_an_outlier_changes_the_count_no_more_than_any_largest_value():
    values = random.Random(4).sample(range(20), 20)
    top = values.index(max(values))
    far = [*values[:top], 1e9, *values[top + 1 :]]
    assert effective_count(far) == effective_count(values)


def test_the_interval_of_values_that_all_count_is_that_of_order_statistics():
    assert series_interval([1, 12, 2, 11, 3, 10, 4, 9, 5, 8, 6, 7]) == Interval(6.5, 3, 10)


def test_the_interval_of_a_series_that_resembles_itself_is_wider():
    assert series_interval(list(range(1, 13))) == Interval(6.5, 1, 12)


def test_fewer_than_six_values_have_no_interval():
    assert series_interval([3, 1, 2, 5, 4]) == Interval(3, None, None)
    with pytest.raises(ValueError, match="no median"):
        series_interval([])


def test_ratios_are_taken_within_blocks():
    drifting = [1, 2, 4, 8, 16, 32]
    assert paired_ratio([2 * one for one in drifting], drifting) == Interval(2, 2, 2)


def test_ratios_of_unlike_many_blocks_are_refused():
    with pytest.raises(ValueError, match="shorter"):
        paired_ratio([1, 2], [1])


def test_students_p_values_are_those_of_scipy():
    for dof in (1, 2, 3, 4, 7, 30, 111):
        for t in (0.0, 0.5, -2.1, 4.0, 12.0):
            assert student_p(t, dof) == pytest.approx(2 * stats.t.sf(abs(t), dof), abs=1e-12)


def test_the_p_value_and_the_interval_say_the_same():
    rng = random.Random(5)
    for _ in range(300):
        blocks = [rng.lognormvariate(0.1, 0.3) for _ in range(rng.randrange(6, 40))]
        ones = [1.0] * len(blocks)
        assert (paired_p(blocks, ones) <= 0.05 + 1e-12) is not paired_ratio(blocks, ones).contains(1.0)


def test_the_p_value_is_the_sign_tests_where_an_outlier_blunts_students():
    ratios = shuffled([1.1 + 0.001 * n for n in range(39)] + [900.0])
    counted = math.floor(effective_count(ratios) + 1e-9)
    assert paired_p(ratios, [1.0] * 40) == pytest.approx(stats.binomtest(0, counted).pvalue)


def test_a_clear_difference_has_a_small_p_value_after_twelve_blocks():
    twice = shuffled([2 + 0.01 * n for n in range(12)])
    assert paired_p(twice, [1.0] * 12) < 1e-6


def test_five_blocks_have_no_verdict():
    assert verdicts([2.0] * 5, {"a": [1.0] * 5}) == {"a": "cannot tell"}


def test_a_verdict_needs_a_known_memory():
    blocks = {"a": [1.0] * 12, "b": [1.0] * 12}
    assert verdicts([2.0] * 12, blocks, unknown=["b"]) == {"a": "faster", "b": "cannot tell"}


def test_verdicts_are_corrected_for_their_number():
    close = shuffled([0.93, 0.94, 0.95, *(1 + 0.005 * n for n in range(1, 14))])  # p is 0.02
    baseline, level = [1.0] * 16, [1.01, 0.99] * 8
    alone = verdicts(baseline, {"close": [1 / one for one in close]})
    among = verdicts(baseline, {"close": [1 / one for one in close], "a": level, "b": level, "c": level})
    assert (alone["close"], among["close"]) == ("faster", "cannot tell")


def test_the_fastest_is_significantly_faster_than_every_other():
    assert fastest({"a": [1.0] * 12, "b": [1.1] * 12, "c": [3.0] * 12}) == "a"


def test_there_is_no_fastest_variant_if_two_are_level():
    level = [1.1] * 9 + [0.9] * 3
    assert fastest({"a": [1.0] * 12, "b": level}) is None
    assert fastest({"a": [1.0] * 12, "b": level, "c": [3.0] * 12}) is None


def test_there_is_no_fastest_variant_with_five_blocks():
    assert fastest({"a": [1.0] * 5, "b": [2.0] * 5}) is None


def test_a_smaller_median_that_loses_most_blocks_is_not_fastest():
    drifting = [float(2**n) for n in range(10)]
    late_luck = [one * 1.01 for one in drifting[:9]] + [1.0]  # loses nine of ten blocks
    assert median(late_luck) < median(drifting)
    assert fastest({"steady": drifting, "lucky": late_luck}) is None


def test_one_variant_alone_is_the_fastest_and_none_has_none():
    assert fastest({"a": [1.0]}) == "a"
    assert fastest({}) is None


def test_a_detectable_difference_is_larger_than_the_half_width_by_the_power():
    ratio = Interval(1.0, 0.98, 1.02)
    expected = 0.02 * (stats.norm.ppf(0.975) + stats.norm.ppf(0.9)) / stats.norm.ppf(0.975)
    assert detectable_difference(ratio) == pytest.approx(expected)
    assert detectable_difference(Interval(1.0, None, None)) is None
