import pytest

from experiments.bench.machine.roofline import Ceilings, Launch, explain

CEILINGS = Ceilings(copies=((10**6, 100.0), (10**9, 10.0)), gflops=50.0)


def launch(ops=0, moved=0, seconds=1.0):
    return Launch(ops, moved, seconds)


def test_the_ceilings_are_the_best_of_every_point_whoever_reached_it():
    records = [
        {"what": "copy", "by": "tinygrad", "moved_bytes": 10**9, "gb_s": 8},
        {"what": "copy", "by": "numpy", "moved_bytes": 10**9, "gb_s": 10.0},
        {"what": "copy", "by": "tinygrad", "moved_bytes": 10**6, "gb_s": 100.0},
        {"what": "copy", "by": "numpy", "moved_bytes": 10**6, "gb_s": 90.0},
        {"what": "matmul", "by": "tinygrad", "n": 600, "gflops": 50.0},
        {"what": "matmul", "by": "numpy", "n": 600, "gflops": 40},
    ]
    assert Ceilings.of(records) == CEILINGS


@pytest.mark.parametrize(
    "records",
    [
        [],
        [{"moved_bytes": 8, "gb_s": 1.0}],
        [{"n": 8, "gflops": 1.0}],
        [{"moved_bytes": 8, "gb_s": None, "gflops": 1.0}],
    ],
)
def test_without_a_copy_or_a_product_there_are_no_ceilings(records):
    assert Ceilings.of(records) is None


@pytest.mark.parametrize(("moved", "gb_s"), [(0, 100), (1, 100), (10**7, 100), (10**8, 10), (10**12, 10)])
def test_a_size_is_held_to_the_nearest_measured_copy(moved, gb_s):
    assert CEILINGS.gb_s(moved) == gb_s  # the middle of 10^6 and 10^9 is 10^7.5: sizes are compared by their ratio


def test_the_ideal_times_are_work_over_ceilings():
    assert launch(ops=10**9, moved=10**9).ideal_s(CEILINGS) == (0.1, 0.02)


@pytest.mark.parametrize(
    ("ops", "moved", "roof"),
    [(10**9, 10**9, "memory"), (10**11, 10**9, "compute"), (0, 10**6, "memory"), (5 * 10**9, 10**9, "memory")],
)
def test_the_nearest_ceiling_is_the_one_that_takes_longer(ops, moved, roof):
    assert launch(ops, moved).nearest_ceiling(CEILINGS) == roof


def test_a_call_that_waits_for_the_host_is_bound_by_launch():
    reason = explain([launch(moved=300, seconds=3e-6)] * 2, 60e-6, CEILINGS)
    assert (reason.bound, reason.launch_share) == ("launch", pytest.approx(0.9))
    assert reason.kernel_ms == pytest.approx(6e-3)


def test_a_call_half_filled_by_its_kernels_is_bound_by_a_ceiling():
    reason = explain([launch(moved=10**9, seconds=0.5)], 1.0, CEILINGS)
    assert (reason.bound, reason.launch_share, reason.roof_fraction) == ("memory", 0.5, 0.1)


def test_the_ceiling_of_a_call_is_that_of_most_of_its_time():
    memory, compute = launch(moved=10**9, seconds=0.4), launch(ops=10**11, seconds=0.6)
    assert explain([memory, compute], 1.0, CEILINGS).bound == "compute"
    assert explain([memory, memory, compute], 1.4, CEILINGS).bound == "memory"


def test_a_kernel_at_its_ceiling_has_the_fraction_one():
    assert explain([launch(moved=10**9, seconds=0.1)], 0.1, CEILINGS).roof_fraction == pytest.approx(1.0)


def test_kernels_that_were_slower_alone_leave_no_negative_share():
    assert explain([launch(moved=1, seconds=2.0)], 1.0, CEILINGS).launch_share == 0.0


@pytest.mark.parametrize(("launches", "wall_s"), [([], 1.0), ([launch()], 0.0)])
def test_a_call_without_kernels_has_no_reason(launches, wall_s):
    assert explain(launches, wall_s, CEILINGS) is None


def test_a_reason_is_columns_of_a_row():
    values = explain([launch(moved=10**9, seconds=0.5)], 1.0, CEILINGS).values()
    assert values == {"bound": "memory", "roof_fraction": 0.1, "launch_share": 0.5, "kernel_ms": 500.0}


def test_the_fixed_time_of_an_empty_kernel_is_no_work():
    """Ten kernels of 8 us, 7 us of which an empty one takes too, in a call of 100 us: 10 us of work."""
    ceilings = Ceilings(((1000, 100.0),), 100.0, floor_s=7e-6)
    reason = explain([Launch(10, 1000, 8e-6)] * 10, 100e-6, ceilings)
    assert reason.bound == "launch"
    assert reason.launch_share == pytest.approx(0.9)
    assert reason.kernel_ms == pytest.approx(0.08)


def test_the_time_of_an_empty_kernel_is_read_with_the_ceilings():
    records = [{"moved_bytes": 8, "gb_s": 1.0}, {"n": 2, "gflops": 3.0}, {"what": "empty", "floor_us": 7.0}]
    assert Ceilings.of(records).floor_s == pytest.approx(7e-6)
