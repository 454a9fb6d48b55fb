"""The statistics proven by simulation: the real stopping rule on simulated noise whose truth is known.

Per noise 2,000 comparisons of a baseline with a variant that is 1.25 times faster, A/A control measured along.
Each sample is the truth, times a drift of the machine (AR(1) of 0.9 in 2 % steps, one step per block), times
2 % of noise of its own and what the name of the noise adds. Seeded; a clock that stands still, so that only
the width of the intervals ends the measuring, or the last block.
"""

import functools
import math
import random
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from experiments.bench.statistics.intervals import fastest, paired_ratio, verdict
from experiments.bench.timing.measure import CONTROL, Budget, interleave

COMPARISONS = 2000
TRUTH = 1.25
LEAST_COVERAGE = 0.935
MOST_BLOCKS = 100
NOISES = ("normal", "outlier", "skewed", "bimodal", "drifting")


class Machine:
    """Draws samples in seconds; each comparison starts on a machine that has not drifted yet."""

    def __init__(self, noise: str, truths: dict[str, float], rng: random.Random) -> None:
        self._noise, self._truths, self._rng = noise, truths, rng
        self._drawn, self._drift = 0, 0.0

    def draw(self, name: str) -> float:
        if self._noise == "drifting":  # moves from sample to sample, and on the whole gets slower by 0.2 % each
            self._drift = 0.97 * self._drift + self._rng.gauss(0, 0.01) + 0.002
        elif self._drawn % (len(self._truths) + 1) == 0:
            self._drift = 0.9 * self._drift + self._rng.gauss(0, 0.02)
        self._drawn += 1
        return self._truths[name] * math.exp(self._drift) * self._own()

    def _own(self) -> float:
        rng, value = self._rng, 1 + self._rng.gauss(0, 0.02)
        match self._noise:
            case "outlier" if rng.random() < 0.08:
                return value + rng.expovariate(1 / 0.25)
            case "skewed":
                return value + rng.expovariate(1 / 0.03)
            case "bimodal" if rng.random() < 0.35:
                return value * 1.12
            case _:
                return value


Stopping = Callable[[Machine, random.Random], dict[str, list[float]]]


def real_rule(machine: Machine, rng: random.Random) -> dict[str, list[float]]:
    budget = Budget(max_blocks=MOST_BLOCKS)
    return interleave(["base", "variant"], "base", machine.draw, budget, rng, clock=lambda: 0.0)


@dataclass(frozen=True)
class Outcome:
    """Shares of all simulated comparisons."""

    coverage: float
    control_alarms: float
    verdicts: dict[str, float]
    blocks: float


def simulate(noise: str, truth: float, stopping: Stopping = real_rule) -> Outcome:
    rng = random.Random(f"{noise} {truth}")
    covered, alarms, blocks, verdicts = 0, 0, 0, dict.fromkeys(("faster", "slower", "cannot tell"), 0)
    for _ in range(COMPARISONS):
        samples = stopping(Machine(noise, {"base": 1e-3, "variant": 1e-3 / truth}, rng), rng)
        speedup = paired_ratio(samples["base"], samples["variant"])
        covered += speedup.contains(truth)
        alarms += not paired_ratio(samples["base"], samples[CONTROL]).contains(1.0)
        verdicts[verdict(speedup)] += 1
        blocks += len(samples["base"])
    shares = {name: count / COMPARISONS for name, count in verdicts.items()}
    return Outcome(covered / COMPARISONS, alarms / COMPARISONS, shares, blocks / COMPARISONS)


simulated = functools.cache(simulate)


@pytest.mark.parametrize("noise", NOISES)
def test_the_interval_covers_the_true_ratio(noise):
    assert simulated(noise, TRUTH).coverage >= LEAST_COVERAGE


@pytest.mark.parametrize("noise", NOISES)
def test_the_control_raises_few_false_alarms(noise):
    assert simulated(noise, TRUTH).control_alarms <= 1 - LEAST_COVERAGE


@pytest.mark.parametrize("noise", NOISES)
def test_a_real_difference_is_found(noise):
    assert simulated(noise, TRUTH).verdicts["faster"] >= 0.99


@pytest.mark.parametrize("noise", NOISES)
def test_equal_variants_are_not_significantly_different(noise):
    assert simulated(noise, 1.0).verdicts["cannot tell"] >= LEAST_COVERAGE


def test_measuring_stops_early_where_the_noise_allows_it():
    assert simulated("normal", TRUTH).blocks < simulated("skewed", TRUTH).blocks < MOST_BLOCKS


def test_the_simulation_sees_a_rule_that_stops_at_significance():
    def until_significant(machine: Machine, _: random.Random) -> dict[str, list[float]]:
        samples: dict[str, list[float]] = {"base": [], "variant": [], CONTROL: []}
        for _ in range(MOST_BLOCKS):
            for name, drawn in samples.items():
                drawn.append(machine.draw("base" if name == CONTROL else name))
            if not paired_ratio(samples["base"], samples["variant"]).contains(1.0):
                break
        return samples

    assert simulate("normal", 1.0, until_significant).verdicts["cannot tell"] < 0.8


@pytest.mark.parametrize("equals", [2, 5])
def test_of_equals_the_fastest_is_seldom_named(equals):
    truths = {f"equal {n}": 1e-3 for n in range(equals)} | {"slow": 2e-3}
    rng, budget, named = random.Random(equals), Budget(max_blocks=20), 0
    for _ in range(COMPARISONS):
        machine = Machine("normal", truths, rng)
        samples = interleave(list(truths), "slow", machine.draw, budget, rng, clock=lambda: 0.0)
        named += fastest({name: samples[name] for name in truths}) is not None
    assert named / COMPARISONS <= 1 - LEAST_COVERAGE
