"""Paired, interleaved timing of variants with an A/A control, and the stopping rule.

Every block times each variant once, and the baseline a second time as the control, in random order. Ratios within a
block are compared, so that drift of the machine affects both sides. Before each sample `redraw` moves the variant to
fresh memory: two identical captures differ by up to 1.3x on a CPU because of the physical pages that they happened to
get, so every sample, of the control too, has to be a separate instance. A few untimed calls follow, so that caches
are equally warm for all. Not measured here: first calls and compilation (see `helper_process`), and the throughput of
asynchronous calls: the device is synchronized after every call, as for a caller who needs the result.
"""

import math
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from statistics import median

from experiments.bench.statistics.intervals import MIN_FOR_INTERVAL, MIN_FOR_P95, MIN_FOR_P99, Interval, percentile
from experiments.bench.statistics.series import detectable_difference, paired_ratio, series_interval, verdicts

HARNESS = 2  # version of this way to measure, in every row; 1: each variant kept the memory that it was captured with
CONTROL = "control"  # the baseline's second sample in each block
MIN_SAMPLE_S = 1e-3  # a shorter sample would measure the clock and the scheduler
MAX_SINGLES = 1000  # single calls stored per variant: enough for a 99th percentile
CHECK_EVERY = 4  # blocks between two checks of the interval: fewer checks, less optional stopping
MIN_INSTANCES = MIN_FOR_INTERVAL  # of both sides for a verdict: fewer have no 95% interval
MAX_SETTLING_CALLS, SETTLING_S = 4, 2e-3  # untimed, in new memory: caches are cold, a GPU's graph is built again
SAMPLE_PER_REDRAW = 0.5  # a sample takes at least half as long as moving its memory

Call = Callable[[], object]
Sampler = Callable[[str], float]
Redraw = Callable[[str], bool]  # gives a variant fresh memory; False if that is not possible


@dataclass(frozen=True)
class Budget:
    """When to stop: the interval is narrow enough or the time is spent, but not before `min_blocks`."""

    half_width: float = 0.02
    seconds: float = 4.0
    min_blocks: int = 12
    max_blocks: int = 400


@dataclass
class Timing:
    """Seconds per call of one variant: the mean of `inner` calls per block, and the single calls."""

    inner: int
    blocks: list[float] = field(default_factory=list)
    singles: list[float] = field(default_factory=list)
    cpu_s: float = 0.0
    wall_s: float = 0.0
    redrawn: bool = False  # whether each block was measured in fresh memory


@dataclass(frozen=True)
class Comparison:
    """All variants of one grid point, measured in the same blocks."""

    baseline: str
    timings: Mapping[str, Timing]
    control: Timing

    def latency(self, variant: str) -> Interval:
        """Seconds of one call: median and 95% interval over the blocks."""
        return series_interval(self.timings[variant].blocks)

    def speedup(self, variant: str) -> Interval:
        """Median of the per-block ratios baseline/variant; above 1 the variant is faster."""
        return paired_ratio(self.timings[self.baseline].blocks, self.timings[variant].blocks)

    def control_ratio(self) -> Interval:
        """The baseline against itself in other memory: the grid point is noisy if this interval excludes 1."""
        return paired_ratio(self.timings[self.baseline].blocks, self.control.blocks)

    def instances(self, variant: str) -> int:
        """In how many placements in memory the variant and the baseline were measured, each; 1 if they kept theirs."""
        sides = (self.timings[self.baseline], self.timings[variant])
        return min(len(side.blocks) if side.redrawn else 1 for side in sides)

    def detectable(self, variant: str) -> float | None:
        """The relative difference that would have been found nine times out of ten; None without a verdict."""
        known = variant != self.baseline and self.instances(variant) >= MIN_INSTANCES
        return detectable_difference(self.speedup(variant)) if known else None

    def verdict(self, variant: str) -> str:
        """`baseline`, `faster`, `slower` or `cannot tell`, corrected for the number of variants of this comparison."""
        return "baseline" if variant == self.baseline else self._verdicts[variant]

    @cached_property
    def _verdicts(self) -> dict[str, str]:
        blocks = {name: one.blocks for name, one in self.timings.items() if name != self.baseline}
        unknown = [name for name in blocks if self.instances(name) < MIN_INSTANCES]
        return verdicts(self.timings[self.baseline].blocks, blocks, unknown)

    def percentile_s(self, variant: str, fraction: float) -> float | None:
        """p95 or p99 of single calls; None if the sample is too small."""
        minimum = MIN_FOR_P95 if fraction <= 0.95 else MIN_FOR_P99
        return percentile(self.timings[variant].singles, fraction, minimum)


def interleave(
    names: Sequence[str],
    baseline: str,
    sample: Sampler,
    budget: Budget,
    rng: random.Random,
    clock: Callable[[], float] = time.perf_counter,
    on_check: Callable[[int, float], None] = lambda blocks, half_width: None,
) -> dict[str, list[float]]:
    """Blocks of one sample per name and one of the control, in random order, until the budget's rule stops them.

    `sample(name)` returns seconds; the control is sampled as the baseline. Returns the samples by name. The clock is
    a parameter so that the stopping rule can be simulated.
    """
    samples: dict[str, list[float]] = {name: [] for name in (*names, CONTROL)}
    order, started = list(samples), clock()
    for block in range(1, budget.max_blocks + 1):
        rng.shuffle(order)
        for name in order:
            samples[name].append(sample(baseline if name == CONTROL else name))
        if block < budget.min_blocks or (block - budget.min_blocks) % CHECK_EVERY:
            continue
        others = [name for name in samples if name != baseline]
        widest = max(paired_ratio(samples[baseline], samples[name]).relative_half_width for name in others)
        on_check(block, widest)
        if widest <= budget.half_width or clock() - started > budget.seconds:
            break
    return samples


def steady(values: Sequence[float]) -> bool:
    """pyperf's rule for the end of the warm-up: the first value is not an outlier and the two halves agree.

    The first value must lie within 1.5 interquartile ranges of the rest's quartiles, and the medians of
    both halves within 10% of each other.
    """
    rest = sorted(values[1:])
    low, high = rest[len(rest) // 4], rest[(3 * len(rest)) // 4]
    reach = 1.5 * (high - low)
    half = len(values) // 2
    first, second = median(values[:half]), median(values[half:])
    return low - reach <= values[0] <= high + reach and abs(first - second) <= 0.1 * max(first, second)


def warm_up(call: Call, synchronize: Call, clock: Callable[[], float], seconds: float = 1.0) -> float:
    """Calls until steady or `seconds` are spent; returns the median of the last ten calls in seconds."""
    values: list[float] = []
    started = clock()
    while True:
        values += _timed(call, 1, synchronize, clock)
        recent = values[-10:]
        if (len(values) >= 10 and steady(recent)) or (len(values) >= 3 and clock() - started > seconds):
            return median(recent)


def compare(
    variants: Mapping[str, Call],
    baseline: str,
    synchronize: Call,
    budget: Budget | None = None,
    rng: random.Random | None = None,
    clock: Callable[[], float] = time.perf_counter,
    redraw: Redraw | None = None,
) -> Comparison:
    """Measures `variants` (each one call, queued or done when it returns) against `baseline`, paired in blocks.

    Without `redraw` there are intervals and no verdicts.
    """
    budget, rng = budget or Budget(), rng or random.Random()  # noqa: S311 - an order, not a secret
    timings = {name: _warm_timing(name, call, synchronize, clock, redraw) for name, call in variants.items()}

    def sample(name: str) -> float:
        timing = timings[name]
        if redraw is None:
            variants[name]()  # untimed: the baseline, sampled twice a block, would otherwise find warmer caches
        else:
            timing.redrawn &= redraw(name)
            settle(variants[name], synchronize, clock)
        cpu = time.process_time()
        calls = _timed(variants[name], timing.inner, synchronize, clock)
        timing.cpu_s += time.process_time() - cpu
        timing.wall_s += sum(calls)
        timing.singles += calls[: MAX_SINGLES - len(timing.singles)]
        return sum(calls) / timing.inner

    samples = interleave(list(variants), baseline, sample, budget, rng, clock)
    for name, timing in timings.items():
        timing.blocks = samples[name]
    return Comparison(baseline, timings, Timing(timings[baseline].inner, samples[CONTROL]))


def _warm_timing(name: str, call: Call, synchronize: Call, clock: Callable[[], float], redraw: Redraw | None) -> Timing:
    """An empty timing of a warm variant, with enough calls per sample for its length and for its memory's moves."""
    expected, sample_s, redrawn = warm_up(call, synchronize, clock), MIN_SAMPLE_S, False
    if redraw is not None:
        redraw(name)  # finds out which memory the variant uses
        started = clock()
        redrawn = redraw(name)
        sample_s = max(sample_s, SAMPLE_PER_REDRAW * (clock() - started))
    return Timing(inner=max(1, math.ceil(sample_s / max(expected, 1e-7))), redrawn=redrawn)


def settle(call: Call, synchronize: Call, clock: Callable[[], float]) -> None:
    """Untimed calls: four, or fewer if they take 2 ms."""
    started = clock()
    for _ in range(MAX_SETTLING_CALLS):
        call()
        synchronize()
        if clock() - started >= SETTLING_S:
            break


def _timed(call: Call, inner: int, synchronize: Call, clock: Callable[[], float]) -> list[float]:
    """Seconds of each of `inner` synchronized calls; reading the clock costs about 0.1 µs each."""
    synchronize()
    seconds = []
    for _ in range(inner):
        start = clock()
        call()
        synchronize()
        seconds.append(clock() - start)
    return seconds
