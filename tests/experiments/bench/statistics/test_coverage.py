"""The statistics shown by simulation: the real stopping rule on simulated noise whose truth is known.

In small, with a seed; `python -m tests.benchmarks.coverage` is the long form. A share may be below its goal by what the
number of comparisons explains in one of a hundred repetitions.
"""

import functools
import random

import pytest
from scipy import stats

from experiments.bench.statistics.series import fastest, paired_ratio
from experiments.bench.timing.measure import CONTROL, Budget, interleave
from tests.experiments.bench.statistics.simulation import BASELINE, NOISES, Machine, Noise, simulate

COMPARISONS = 300
GOAL = 0.94
BUDGET = {"half_width": 0.02, "seconds": 1.5}
UNPROVEN = "lone drift 0.9"  # a drift of one variant alone that outlasts the measuring is in no interval
SHOWN = [name for name in NOISES if name != UNPROVEN]


def least(goal: float, of: int = COMPARISONS) -> float:
    return float(stats.binom.ppf(0.01, of, goal)) / of


@functools.cache
def simulated(noise: str, truth: float):
    return simulate(NOISES[noise], COMPARISONS, truth, **BUDGET)


@pytest.mark.parametrize("noise", SHOWN)
@pytest.mark.parametrize("truth", [1.0, 1.25])
def test_the_interval_covers_the_true_ratio(noise, truth):
    assert simulated(noise, truth).share("covered") >= least(GOAL)


@pytest.mark.parametrize("noise", SHOWN)
def test_equal_variants_get_few_verdicts(noise):
    assert simulated(noise, 1.0).share("false_verdicts") <= 1 - least(GOAL)


@pytest.mark.parametrize("noise", NOISES)
def test_the_control_raises_few_false_alarms(noise):
    assert simulated(noise, 1.0).share("control_alarms") <= 1 - least(GOAL)


@pytest.mark.parametrize("noise", SHOWN)
def test_a_real_difference_is_found(noise):
    assert simulated(noise, 1.25).share("found") >= 0.99


def test_of_many_equal_variants_rarely_any_gets_a_verdict():
    for noise in ("own noise 2%", "placement 7%", "outliers"):
        outcome = simulate(NOISES[noise], 60, variants=12, max_blocks=20)
        assert outcome.share("false_verdicts") <= 1 - least(GOAL, 60)


def test_a_factor_of_two_is_found_among_many_variants_in_the_fewest_blocks():
    assert simulate(NOISES["own noise 2%"], 60, 2.0, variants=12, max_blocks=12).share("found") >= 0.95


def test_measuring_stops_early_where_the_noise_allows_it():
    assert simulated("own noise 2%", 1.0).blocks < simulated("placement 7%", 1.0).blocks


def test_the_simulation_sees_intervals_that_miss_the_placement():
    """As before: one placement for each variant in all blocks, which no interval over the blocks can hold."""

    def fixed(rng: random.Random) -> bool:
        truths = {BASELINE: 1e-3, "twin": 1e-3 * 1.28 ** (rng.random() < 0.35) / 1.28 ** (rng.random() < 0.35)}
        machine = Machine(Noise(own=0.01), truths, rng)
        samples = interleave(list(truths), BASELINE, machine.sample, Budget(), rng, machine.clock)
        return paired_ratio(samples[BASELINE], samples["twin"]).contains(1.0)

    rng = random.Random(1)
    assert sum(fixed(rng) for _ in range(100)) < 80


def test_the_simulation_sees_a_rule_that_stops_at_significance():
    rng, alarms = random.Random(2), 0
    for _ in range(100):
        machine = Machine(Noise(), {BASELINE: 1e-3, "twin": 1e-3}, rng)
        samples: dict[str, list[float]] = {BASELINE: [], "twin": [], CONTROL: []}
        for _ in range(100):
            for name, drawn in samples.items():
                drawn.append(machine.sample(BASELINE if name == CONTROL else name))
            if not paired_ratio(samples[BASELINE], samples["twin"]).contains(1.0):
                alarms += 1
                break
    assert alarms >= 10


@pytest.mark.parametrize("equals", [2, 5])
def test_of_equals_the_fastest_is_seldom_named(equals):
    truths = {BASELINE: 2e-3, **{f"equal {n}": 1e-3 for n in range(equals)}}
    rng, named = random.Random(equals), 0
    for _ in range(COMPARISONS):
        machine = Machine(Noise(), truths, rng)
        samples = interleave(list(truths), BASELINE, machine.sample, Budget(max_blocks=20), rng, machine.clock)
        named += fastest({name: samples[name] for name in truths if name != BASELINE}) is not None
    assert named / COMPARISONS <= 1 - least(GOAL)
