import random

import pytest

from experiments.bench.statistics.intervals import Interval
from experiments.bench.timing.measure import (
    CHECK_EVERY,
    CONTROL,
    MAX_SINGLES,
    Budget,
    Comparison,
    Timing,
    compare,
    interleave,
    steady,
    warm_up,
)


class Machine:
    """A clock that only calls move, so that every time is exact. Times are powers of two: no rounding."""

    def __init__(self) -> None:
        self.now = 0.0
        self.log: list[str] = []

    def clock(self) -> float:
        return self.now

    def synchronize(self) -> None:
        self.log.append("synchronize")

    def call(self, name, *seconds):
        """A call that takes the given seconds one after another, then the last for ever."""
        left = list(seconds)

        def run():
            self.log.append(name)
            self.now += left.pop(0) if len(left) > 1 else left[0]

        return run


@pytest.fixture
def machine():
    return Machine()


def blocks_of(budget, draw=lambda name: 1.0, clock=lambda: 0.0, names=("a", "b"), seed=0):
    return interleave(names, "a", draw, budget, random.Random(seed), clock)


def noisy(seed=1, spread=0.5):
    rng = random.Random(seed)
    return lambda name: rng.lognormvariate(0, spread)


def test_every_block_draws_each_name_once_and_the_baseline_twice():
    drawn = []
    blocks_of(Budget(), lambda name: drawn.append(name) or 1.0, names=("a", "b", "c"))
    blocks = [drawn[n : n + 4] for n in range(0, len(drawn), 4)]
    assert len(blocks) == 12
    assert all(sorted(block) == ["a", "a", "b", "c"] for block in blocks)


def test_the_order_changes_from_block_to_block_and_repeats_with_the_seed():
    def order(seed):
        drawn = []
        blocks_of(Budget(), lambda name: drawn.append(name) or 1.0, names=("a", "b", "c"), seed=seed)
        return drawn

    assert len({tuple(order(0)[n : n + 4]) for n in range(0, 48, 4)}) > 3
    assert order(0) == order(0) != order(1)


def test_no_noise_at_all_still_takes_the_least_number_of_blocks():
    assert {name: len(values) for name, values in blocks_of(Budget()).items()} == {"a": 12, "b": 12, CONTROL: 12}


def test_endless_noise_stops_at_the_most_blocks():
    assert len(blocks_of(Budget(max_blocks=50), noisy())["a"]) == 50


def test_spent_time_stops_only_once_the_least_blocks_are_there():
    ticks = iter(range(10_000))
    assert len(blocks_of(Budget(seconds=0.5), noisy(), clock=lambda: next(ticks))["a"]) == 12


def test_the_time_goes_on_until_it_is_spent(machine):
    draw = noisy()

    def slow(name):
        machine.now += 0.125
        return draw(name)

    assert len(blocks_of(Budget(seconds=9), slow, machine.clock)["a"]) == 28  # 3 draws a block: 24 take 9 s sharp


def test_the_interval_is_checked_every_fourth_block_from_the_twelfth():
    looks = []
    interleave(
        ["a", "b"],
        "a",
        noisy(),
        Budget(max_blocks=26),
        random.Random(0),
        clock=lambda: 0.0,
        on_check=lambda block, half_width: looks.append(block),
    )
    assert looks == [12, 16, 20, 24]
    assert looks[1] - looks[0] == CHECK_EVERY


@pytest.mark.parametrize("late", ["b", "c"])
def test_the_widest_interval_of_all_variants_decides(late):
    draw = noisy()
    values = blocks_of(Budget(max_blocks=40), lambda name: draw(name) if name == late else 1.0, names=("a", "b", "c"))
    assert len(values["a"]) == 40


def test_the_controls_interval_decides_too():
    assert len(blocks_of(Budget(max_blocks=40), noisy(), names=("a",))["a"]) == 40
    assert len(blocks_of(Budget(max_blocks=40), names=("a",))["a"]) == 12


def test_a_significant_difference_does_not_stop_the_measuring():
    draw = noisy(spread=0.2)
    assert len(blocks_of(Budget(max_blocks=40), lambda name: draw(name) * (1 if name == "a" else 9))["a"]) == 40


def test_level_values_are_steady():
    assert steady([1.0] * 10)
    assert steady([1.02, 1.0, 1.01, 0.99, 1.0, 1.03, 0.98, 1.0, 1.01, 1.0])


def test_a_first_value_outside_the_rest_is_not_steady():
    assert not steady([2.0] + [1.0] * 9)
    assert not steady([0.5] + [1.0] * 9)


def test_halves_that_differ_by_a_tenth_are_not_steady():
    wide = [1.0, 1.3, 0.7, 1.2, 0.8]
    assert steady(wide + wide)
    assert not steady(wide + [one * 0.85 for one in wide])


def test_warming_up_ends_with_the_steady_latency(machine):
    call = machine.call("a", 1.0, 0.5, 0.25, 2**-10)
    assert warm_up(call, machine.synchronize, machine.clock, seconds=100) == 2**-10
    assert machine.log.count("a") == 13  # three slow ones and ten of a kind


def test_warming_up_has_an_end(machine):
    doubling = machine.call("a", *(2.0**n for n in range(-8, 20)))
    warm_up(doubling, machine.synchronize, machine.clock, seconds=1.0)
    assert machine.log.count("a") == 9  # 2**-8 + … + 2**0 is the first sum above 1


def test_a_slow_call_is_warmed_up_three_times(machine):
    warm_up(machine.call("a", 60.0), machine.synchronize, machine.clock, seconds=1.0)
    assert machine.log.count("a") == 3


def compared(machine, variants, redraw=None, **budget):
    rng = random.Random(0)
    return compare(variants, "a", machine.synchronize, Budget(**budget), rng, machine.clock, redraw)


def test_short_calls_are_batched_until_a_sample_lasts_a_millisecond(machine):
    comparison = compared(machine, {"a": machine.call("a", 2**-13), "b": machine.call("b", 2**-4)})
    assert comparison.timings["a"].inner == 9  # 8 * 2**-13 = 0.98 ms
    assert comparison.timings["b"].inner == 1


def test_a_sample_is_the_mean_of_its_calls(machine):
    comparison = compared(machine, {"a": machine.call("a", 2**-13), "b": machine.call("b", 2**-14)})
    assert comparison.timings["a"].blocks == [2**-13] * 12
    assert comparison.speedup("b") == Interval(2.0, 2.0, 2.0)
    assert comparison.control_ratio() == Interval(1.0, 1.0, 1.0)
    assert comparison.verdict("a") == "baseline"


def test_every_sample_is_taken_in_fresh_memory(machine):
    variants = {"a": machine.call("a", 2**-4), "b": machine.call("b", 2**-5)}
    comparison = compared(machine, variants, lambda name: machine.log.append(f"redraw {name}") or True)
    calls = [entry for entry in machine.log[machine.log.index("redraw a") :] if entry != "synchronize"]
    measured = calls[calls.index("redraw b") + 2 :]  # each is drawn twice before: to be found, and to be timed
    samples = [measured[n : n + 3] for n in range(0, len(measured), 3)]
    assert len(samples) == 36
    assert all(sample in (["redraw a", "a", "a"], ["redraw b", "b", "b"]) for sample in samples)
    assert comparison.instances("b") == 12
    assert comparison.verdict("b") == "faster"


def test_a_short_call_settles_in_new_memory_with_four_untimed_calls(machine):
    variants = {"a": machine.call("a", 2**-13)}
    comparison = compared(machine, variants, lambda name: machine.log.append("redraw") or True, max_blocks=12)
    calls = [entry for entry in machine.log if entry != "synchronize"]
    last = calls[len(calls) - calls[::-1].index("redraw") :]
    assert len(last) == 4 + comparison.timings["a"].inner


def test_a_sample_lasts_half_as_long_as_its_memory_took_to_move(machine):
    def slow(_):
        machine.now += 2**-3
        return True

    comparison = compared(machine, {"a": machine.call("a", 2**-10)}, slow, max_blocks=12)
    assert comparison.timings["a"].inner == 64
    assert comparison.timings["a"].blocks == [2**-10] * 12


@pytest.mark.parametrize("fixed", ["a", "b"])
def test_there_is_an_interval_and_no_verdict_where_either_side_keeps_its_memory(machine, fixed):
    variants = {"a": machine.call("a", 2**-4), "b": machine.call("b", 2**-5)}
    comparison = compared(machine, variants, lambda name: name != fixed)
    assert comparison.speedup("b") == Interval(2.0, 2.0, 2.0)
    assert (comparison.instances("b"), comparison.verdict("b"), comparison.detectable("b")) == (1, "cannot tell", None)


def test_without_fresh_memory_there_are_intervals_and_no_verdicts(machine):
    comparison = compared(machine, {"a": machine.call("a", 2**-4), "b": machine.call("b", 2**-5)})
    assert (comparison.speedup("b"), comparison.verdict("b")) == (Interval(2.0, 2.0, 2.0), "cannot tell")


def test_five_instances_are_too_few_for_a_verdict():
    timings = {"a": Timing(1, [2.0] * 5, redrawn=True), "b": Timing(1, [1.0] * 5, redrawn=True)}
    comparison = Comparison("a", timings, Timing(1, [2.0] * 5))
    assert (comparison.instances("b"), comparison.verdict("b")) == (5, "cannot tell")


def test_the_device_is_waited_for_before_and_after_every_call(machine):
    compared(machine, {"a": machine.call("a", 2**-4), "b": machine.call("b", 2**-4)})
    around = [machine.log[n - 1 : n + 2 : 2] for n, entry in enumerate(machine.log) if entry in "ab"]
    assert all(pair == ["synchronize", "synchronize"] for pair in around)


def test_a_twin_of_the_baseline_is_its_equal_where_a_call_after_another_is_slower(machine):
    """As with caches: the baseline, drawn twice a block, would follow itself more often than its twin does."""

    def call(name):
        def run():
            calls = [entry for entry in machine.log if entry != "synchronize"]
            machine.now += 2**-5 if calls and calls[-1] == name else 2**-4
            machine.log.append(name)

        return run

    comparison = compared(machine, {"a": call("a"), "b": call("b")})
    assert comparison.speedup("b") == Interval(1.0, 1.0, 1.0)
    assert set(comparison.timings["b"].blocks) == {2**-5}


def test_single_calls_are_stored_up_to_a_limit(machine):
    comparison = compared(machine, {"a": machine.call("a", 2**-18), "b": machine.call("b", 2**-4)})
    assert len(comparison.timings["a"].singles) == MAX_SINGLES
    assert comparison.timings["b"].singles == [2**-4] * 12


def test_percentiles_come_from_single_calls_and_only_where_there_are_enough():
    comparison = Comparison("a", {"a": Timing(1, singles=[float(n) for n in range(1, 100)])}, Timing(1))
    assert comparison.percentile_s("a", 0.95) == 95.0
    assert comparison.percentile_s("a", 0.99) is None
    comparison.timings["a"].singles.append(100.0)
    assert comparison.percentile_s("a", 0.99) == 99.0


def test_wall_time_is_that_of_the_blocks_alone(machine):
    comparison = compared(machine, {"a": machine.call("a", 2**-4)}, min_blocks=12, max_blocks=12)
    assert comparison.timings["a"].wall_s == 24 * 2**-4  # the control is the baseline too
