"""Simulated comparisons with a known truth, measured by the real stopping rule and judged by the real statistics.

A sample is the variant's true time, times the factors that its noise adds: drift that all variants share, drift of one
variant alone, the placement in memory that the sample drew, and noise of its own. Seeded, without a device.
"""

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass, field

from experiments.bench.statistics.series import paired_ratio, verdicts
from experiments.bench.timing.measure import CONTROL, Budget, interleave

SAMPLE_S = 0.006  # with its draw of memory and its untimed calls: 18 ms a block of two variants and the control
BASELINE = "baseline"


@dataclass(frozen=True)
class Noise:
    """Relative standard deviations (0.02 is 2%) and shares."""

    own: float = 0.02
    placement: float = 0.0  # normal, drawn anew for every sample
    slow_share: float = 0.0  # of the placements that are 1.28 times slower
    outliers: float = 0.0  # share of samples with a delay of 25% on average
    skew: float = 0.0  # mean of an exponential delay in every sample
    shared_drift: float = 0.0  # steps of a drift of all variants, autocorrelation 0.9
    lone_drift: float = 0.0  # stationary deviation of a drift of each variant but the baseline
    autocorrelation: float = 0.0  # of that drift, from block to block


NOISES: Mapping[str, Noise] = {
    "own noise 2%": Noise(),
    "placement 1.0 or 1.28": Noise(own=0.01, slow_share=0.35),
    "placement 2%": Noise(own=0.01, placement=0.02),
    "placement 7%": Noise(own=0.01, placement=0.07),
    "shared drift": Noise(shared_drift=0.02),
    "outliers": Noise(outliers=0.08),
    "skewed": Noise(skew=0.03),
    "lone drift 0.5": Noise(own=0.005, lone_drift=0.02, autocorrelation=0.5),
    "lone drift 0.9": Noise(own=0.005, lone_drift=0.02, autocorrelation=0.9),
}


class Machine:
    """Draws samples in seconds; `clock` is the time that they took."""

    def __init__(self, noise: Noise, truths: Mapping[str, float], rng: random.Random) -> None:
        self._noise, self._truths, self._rng = noise, truths, rng
        self._drawn, self._shared = 0, 0.0
        self._lone = {name: rng.gauss(0, noise.lone_drift) for name in truths if name != BASELINE}

    def clock(self) -> float:
        return self._drawn * SAMPLE_S

    def sample(self, name: str) -> float:
        if self._drawn % (len(self._truths) + 1) == 0:
            self._drift()
        self._drawn += 1
        noise, rng = self._noise, self._rng
        value = 1 + rng.gauss(0, noise.own)
        if rng.random() < noise.outliers:
            value += rng.expovariate(1 / 0.25)
        if noise.skew:
            value += rng.expovariate(1 / noise.skew)
        if rng.random() < noise.slow_share:
            value *= 1.28
        drift = self._shared + self._lone.get(name, 0.0) + rng.gauss(0, noise.placement)
        return self._truths[name] * value * math.exp(drift)

    def _drift(self) -> None:
        noise, rng = self._noise, self._rng
        self._shared = 0.9 * self._shared + rng.gauss(0, noise.shared_drift)
        step = noise.lone_drift * math.sqrt(1 - noise.autocorrelation**2)
        for name, value in self._lone.items():
            self._lone[name] = noise.autocorrelation * value + rng.gauss(0, step)


@dataclass
class Outcome:
    """Counts over `comparisons`; `widths` are the half-widths of the first variant's intervals."""

    comparisons: int = 0
    covered: int = 0
    control_alarms: int = 0
    false_verdicts: int = 0
    found: int = 0
    blocks: int = 0
    widths: list[float] = field(default_factory=list)

    def share(self, name: str) -> float:
        value: int = getattr(self, name)
        return value / self.comparisons


def simulate(
    noise: Noise, comparisons: int, truth: float = 1.0, variants: int = 1, seed: int = 0, **budget: float
) -> Outcome:
    """`variants` variants, the first `truth` times as fast as the baseline, the others equal to it."""
    rng, outcome = random.Random(f"{noise} {truth} {variants}"), Outcome(comparisons)
    names = [f"variant {number}" for number in range(variants)]
    truths = {BASELINE: 1e-3, **dict.fromkeys(names, 1e-3), names[0]: 1e-3 / truth}
    for _ in range(comparisons):
        machine = Machine(noise, truths, rng)
        samples = interleave(list(truths), BASELINE, machine.sample, Budget(**budget), rng, machine.clock)
        ratio = paired_ratio(samples[BASELINE], samples[names[0]])
        found = verdicts(samples[BASELINE], {name: samples[name] for name in names})
        outcome.covered += ratio.contains(truth)
        outcome.control_alarms += not paired_ratio(samples[BASELINE], samples[CONTROL]).contains(1.0)
        right = "faster" if truth > 1 else "cannot tell"
        outcome.found += found[names[0]] == right
        outcome.false_verdicts += any(one != "cannot tell" for one in list(found.values())[truth > 1 :])
        outcome.blocks += len(samples[BASELINE])
        outcome.widths.append(ratio.relative_half_width)
    return outcome
