"""Exact small cases computed by hand and by scipy; behavior under noise is simulated in test_coverage.py."""

import math
import random
from statistics import NormalDist

import pytest
from scipy import stats

from experiments.bench.statistics.intervals import (
    MIN_FOR_INTERVAL,
    MIN_FOR_P95,
    T_QUANTILES,
    Interval,
    Z,
    break_even,
    holm,
    interval_rank,
    mean_interval,
    median_interval,
    paired_difference,
    percentile,
    verdict,
    wilson,
)

NEVER = None


def test_an_interval_of_five_samples_does_not_exist():
    assert median_interval([3, 1, 2, 5, 4]) == Interval(3, None, None)
    assert interval_rank(MIN_FOR_INTERVAL - 1) == 0


def test_the_interval_of_six_samples_is_their_range():
    assert median_interval([6, 1, 5, 2, 4, 3]) == Interval(3.5, 1, 6)


@pytest.mark.parametrize(
    ("n", "rank"),
    [
        (0, 0),
        (1, 0),
        (5, 0),  # 1/32 is above 0.025
        (6, 1),  # 1/64
        (8, 1),  # (1+8)/256 is above 0.025
        (9, 2),  # (1+9)/512 = 0.0195
        (11, 2),  # (1+11+55)/2048 is above 0.025
        (12, 3),  # (1+12+66)/4096 = 0.0193
        (17, 5),  # (1+17+136+680+2380)/131072 = 0.02452
        (20, 6),  # (1+20+190+1140+4845+15504)/1048576 = 0.0207
        (100, 40),  # the table of every textbook
    ],
)
def test_the_rank_is_the_last_that_keeps_both_tails_under_five_percent(n, rank):
    assert interval_rank(n) == rank


@pytest.mark.parametrize("n", range(6, 60))
def test_the_rank_is_the_largest_that_is_allowed(n):
    def outside(rank):
        return 2 * sum(math.comb(n, k) for k in range(rank)) / 2**n

    assert outside(interval_rank(n)) <= 0.05 < outside(interval_rank(n) + 1)


def test_a_narrower_confidence_gives_a_higher_rank():
    assert interval_rank(12, confidence=0.5) == 5  # 299/4096 = 0.073, 794/4096 = 0.194, then 1586/4096 is above 0.25


def test_an_interval_of_no_values_is_refused():
    with pytest.raises(ValueError, match="no median"):
        median_interval([])


def test_the_interval_of_twelve_leaves_out_two_on_each_side():
    assert median_interval([12, 1, 2, 11, 3, 10, 4, 9, 5, 8, 6, 7]) == Interval(6.5, 3, 10)


def test_the_interval_does_not_follow_a_few_outliers():
    assert median_interval([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 1e6, 1e9]) == Interval(6.5, 3, 10)


def test_the_half_width_is_half_the_range_over_the_median():
    assert Interval(10, 9, 12).relative_half_width == 0.15


def test_the_half_width_without_an_interval_is_infinite():
    assert Interval(10, None, None).relative_half_width == math.inf
    assert Interval(0, 0, 0).relative_half_width == math.inf


@pytest.mark.parametrize(
    ("interval", "holds"),
    [
        (Interval(1.5, 1.0, 2.0), True),
        (Interval(1.5, 1.1, 2.0), False),
        (Interval(0.5, 0.1, 1.0), True),
        (Interval(9, None, None), True),
    ],
)
def test_an_interval_holds_its_ends_and_without_ends_everything(interval, holds):
    assert interval.contains(1.0) is holds


@pytest.mark.parametrize(
    ("interval", "expected"),
    [
        (Interval(1.5, 1.4, 1.6), "faster"),
        (Interval(0.5, 0.4, 0.6), "slower"),
        (Interval(1.1, 1.0, 1.2), "cannot tell"),
        (Interval(0.9, 0.8, 1.0), "cannot tell"),
        (Interval(5.0, None, None), "cannot tell"),
    ],
)
def test_the_verdict_needs_the_whole_interval_on_one_side(interval, expected):
    assert verdict(interval) == expected


def test_a_percentile_is_the_nearest_rank():
    assert percentile(list(range(1, 21)), 0.95, 20) == 19
    assert percentile(list(range(100, 0, -1)), 0.99, 100) == 99
    assert percentile([7], 0.5, 1) == 7


def test_a_percentile_without_enough_samples_is_empty():
    assert percentile([1.0] * (MIN_FOR_P95 - 1), 0.95, MIN_FOR_P95) is None


@pytest.mark.parametrize("hundredths", [95, 99])
def test_the_rank_of_a_percentile_suffers_no_rounding(hundredths):
    for n in range(20, 1001):
        assert percentile(range(1, n + 1), hundredths / 100, 20) == -(-hundredths * n // 100)


@pytest.mark.parametrize(
    ("base_calls", "base", "calls", "latency", "expected"),
    [
        ([1, 1], 1, [1, 5], 0.5, 10),  # 1+5+8*0.5 == 10
        ([1, 1], 1, [1, 5], 0.4, 9),  # 6+6*0.4 = 8.4 > 8, 6+7*0.4 = 8.8 <= 9
        ([1, 1], 1, [1, 5], 1, NEVER),  # as fast, but behind for good
        ([1, 1], 1, [1, 5], 2, NEVER),
        ([1], 1, [1], 0.5, 1),  # level from the start
        ([1], 1, [0.5], 1, 1),  # ahead from the start, and stays
        ([1], 1, [0.5], 1.1, NEVER),  # ahead at first, then overtaken
        ([1, 1, 9], 1, [0.5, 9, 0.5], 0.5, 3),  # 0.5<1, 9.5>2, 10<=11: crosses back and forth, counts the last time
        ([1, 1, 1], 1, [0.5, 9, 0.5], 0.5, 17),  # 10+14*0.5 == 17
        ([5], 1, [6, 1, 1], 0.75, 7),  # unlike long heads: 8 against 7 after 3, a quarter less each call: 4 more
        ([], 2, [], 1, 1),  # nothing but the steady state
    ],
)
def test_break_even_is_where_the_cumulative_times_cross_for_good(base_calls, base, calls, latency, expected):
    assert break_even(base_calls, base, calls, latency) == expected


def test_break_even_agrees_with_adding_up_call_by_call():
    rng = random.Random(3)
    for _ in range(300):
        base_calls, calls = [[rng.uniform(0.5, 4) for _ in range(rng.randrange(1, 5))] for _ in range(2)]
        base, latency = 1.0, rng.uniform(0.5, 0.95)
        behind, since = 0.0, None
        for n in range(400):
            behind += (calls[n] if n < len(calls) else latency) - (base_calls[n] if n < len(base_calls) else base)
            since = (since or n + 1) if behind <= 0 else None
        assert break_even(base_calls, base, calls, latency) == since


@pytest.mark.parametrize(
    ("given", "adjusted"),
    [
        ([], []),
        ([0.04], [0.04]),
        ([0.01, 0.04, 0.03], [0.03, 0.06, 0.06]),
        ([0.04, 0.01], [0.04, 0.02]),
        ([0.5, 0.6], [1.0, 1.0]),
        ([0.01, 0.02, 0.03, 0.04], [0.04, 0.06, 0.06, 0.06]),
    ],
)
def test_holm_multiplies_by_the_comparisons_that_are_left(given, adjusted):
    assert holm(given) == pytest.approx(adjusted)


def test_a_few_values_have_students_interval():
    interval = mean_interval([1, 2, 3])
    assert (interval.median, interval.lo, interval.hi) == pytest.approx((2, -0.484, 4.484), abs=5e-4)
    same = mean_interval([0.5] * 5)
    assert (same.lo, same.hi) == (0.5, 0.5)


def test_the_quantiles_are_those_of_scipy():
    assert pytest.approx(NormalDist().inv_cdf(0.975), rel=1e-15) == Z
    expected = [stats.t.ppf(0.975, freedom) for freedom in range(1, len(T_QUANTILES) + 1)]
    assert pytest.approx(expected, abs=5e-4) == list(T_QUANTILES)


def test_wilson_intervals_are_those_of_scipy():
    for n in (1, 7, 30, 10_000):
        for successes in {0, 1, n // 3, n - 1, n}:
            expected = stats.binomtest(successes, n).proportion_ci(method="wilson")
            found = wilson(successes, n)
            assert (found.lo, found.hi) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_ranks_are_those_of_scipys_binomial_quantiles():
    for n in range(6, 200):
        assert interval_rank(n) == stats.binom.ppf(0.025, n, 0.5)


@pytest.mark.parametrize("count", [0, 1, 21])
def test_too_few_or_too_many_values_have_no_t_interval(count):
    with pytest.raises(ValueError, match=f"no t interval of {count} values"):
        mean_interval([1.0] * count)


@pytest.mark.parametrize(
    ("successes", "n", "lo", "hi"),
    [  # Newcombe 1998, Statistics in Medicine 17, table I, method 3
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
        (8, 10, 0.4902, 0.9433),
        (20, 20, 0.8389, 1.0000),
    ],
)
def test_wilson_gives_the_published_intervals(successes, n, lo, hi):
    interval = wilson(successes, n)
    assert interval.median == successes / n
    assert (interval.lo, interval.hi) == pytest.approx((lo, hi), abs=5e-5)


@pytest.mark.parametrize(("successes", "n"), [(0, 0), (3, 2), (-1, 5)])
def test_wilson_refuses_invalid_counts(successes, n):
    with pytest.raises(ValueError, match="not a proportion"):
        wilson(successes, n)


@pytest.mark.parametrize(
    ("only_first", "only_second", "n", "expected"),
    [
        (30, 10, 1000, (0.02, 0.0075, 0.0324)),
        (0, 0, 10_000, (0, -0.0002, 0.0002)),
        (10, 30, 1000, (-0.02, -0.0324, -0.0075)),
    ],
)
def test_a_paired_difference_has_agresti_and_mins_interval(only_first, only_second, n, expected):
    found = paired_difference(only_first, only_second, n)
    assert (found.median, found.lo, found.hi) == pytest.approx(expected, abs=5e-5)


def test_a_paired_difference_covers_the_truth_in_95_percent():
    rng = random.Random(4)
    held = 0
    for _ in range(1000):
        draws = [rng.random() for _ in range(500)]
        held += paired_difference(sum(d < 0.04 for d in draws), sum(0.04 <= d < 0.06 for d in draws), 500).contains(
            0.02
        )
    assert held >= 940


@pytest.mark.parametrize("given", [(-1, 0, 10), (6, 5, 10), (0, 0, 0)])
def test_a_paired_difference_refuses_invalid_counts(given):
    with pytest.raises(ValueError, match="not proportions"):
        paired_difference(*given)
