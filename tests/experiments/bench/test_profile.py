"""Profiles real captured calls once in a child process; the tests check the output."""

import json
import subprocess
import sys

import pytest

from experiments.bench.columns import check_record
from experiments.bench.machine.toolchain import child_environment
from experiments.compiler.jit import jit

CACHE, MEMORY, MATMUL = 20e9, 10e9, 50e9  # the ceilings that all calls are held to: bytes and operations per second
BATCH, WIDTH, LAYERS, N = 8, 32, 12, 1000


@pytest.fixture(scope="module")
def seen():
    command = [sys.executable, "-m", "tests.experiments.bench.profiled_calls"]
    done = subprocess.run(command, capture_output=True, text=True, env=child_environment("CPU"), check=True)
    return json.loads(done.stdout)


# the kernels of a network of twelve tiny layers


def test_every_layer_is_a_kernel_in_the_order_of_the_call(seen):
    assert [one["number"] for one in seen["layers"]["kernels"]] == list(range(1, LAYERS + 1))
    replayed = [(one["number"], one["name"]) for one in seen["layers"]["replay"]]
    assert replayed == [(one["number"], one["name"]) for one in seen["layers"]["kernels"]]


def test_a_kernel_carries_the_code_that_was_compiled(seen):
    for one in seen["layers"]["kernels"]:
        assert f"void {one['name']}(" in one["source"]
        assert one["source"].count("{") == one["source"].count("}") > 0
        assert one["uops"] > 0
        assert one["binary_bytes"] > 0
        assert (one["device"], one["batched"]) == ("CPU", False)
        assert one["renderer"].startswith("CPU:")


def test_operations_and_bytes_are_those_counted_by_hand(seen):
    output = BATCH * WIDTH
    for one in seen["layers"]["kernels"]:
        assert one["ops"] == 2 * output * WIDTH + output + output  # the product, the bias and the ReLU
        assert one["bytes"] == 4 * (output + WIDTH * WIDTH + WIDTH + output)
        assert one["loaded_bytes"] >= one["bytes"]


@pytest.mark.parametrize("name", ["layers", "product", "copy", "untimed", "silent", "without ceilings"])
def test_the_shares_of_all_kernels_are_the_whole(seen, name):
    assert sum(one["share"] for one in seen[name]["kernels"]) == pytest.approx(1)


def test_a_kernel_is_launched_before_it_ends_and_after_the_one_before_it(seen):
    replayed = seen["layers"]["replay"]
    starts = [one["start_ms"] for one in replayed]
    assert starts == sorted(starts)
    assert starts[0] >= 0
    assert all(0 < one["kernel_ms"] <= one["host_ms"] for one in replayed)
    assert all(one["host_us"] >= 0 for one in seen["layers"]["kernels"])


def test_rates_are_the_counted_work_over_the_measured_time(seen):
    for one in seen["layers"]["kernels"]:
        assert one["gflops"] == pytest.approx(one["ops"] / one["kernel_ms"] / 1e6)
        assert one["gb_s"] == pytest.approx(one["bytes"] / one["kernel_ms"] / 1e6)


def test_the_planner_needs_less_than_a_buffer_for_each_intermediate(seen):
    [plan] = seen["layers"]["memory"]
    between = 4 * BATCH * WIDTH * (LAYERS - 1)
    assert plan["unplanned_bytes"] == between
    assert 0 < plan["planned_bytes"] < between


@pytest.mark.parametrize("name", ["layers", "product", "copy", "untimed", "without ceilings"])
def test_the_details_keep_to_their_declared_columns(seen, name):
    for detail in ("kernels", "replay", "memory"):
        for record in seen[name][detail]:
            check_record({"variant": "jit", "batch": BATCH, **record}, jit.details[detail])


# the reason, by hand


def test_twelve_tiny_layers_are_bound_by_their_launches(seen):
    wall_s, reason = seen["layers"]["wall_s"], seen["layers"]["reason"]
    kernel_s = sum(one["kernel_ms"] for one in seen["layers"]["kernels"]) / 1e3
    compute_s, memory_s = 16_896 / MATMUL, 6_272 / CACHE  # of one layer: 338 ns and 314 ns
    assert compute_s > memory_s
    assert reason["bound"] == "launch"
    assert reason["kernel_ms"] == pytest.approx(kernel_s * 1e3)
    assert reason["launch_share"] == pytest.approx(1 - kernel_s / wall_s)
    assert reason["launch_share"] > 0.5
    assert reason["roof_fraction"] == pytest.approx(LAYERS * compute_s / wall_s)


def test_a_product_of_1000_cubed_is_bound_by_arithmetic(seen):
    wall_s, reason, [kernel] = seen["product"]["wall_s"], seen["product"]["reason"], seen["product"]["kernels"]
    kernel_s = kernel["kernel_ms"] / 1e3
    assert kernel["ops"] == pytest.approx(2e9, rel=0.01)
    assert kernel["bytes"] == 12_000_000
    assert (reason["bound"], kernel["bound"]) == ("compute", "compute")  # 40 ms of arithmetic, 0.6 ms of memory
    assert kernel["roof_fraction"] == pytest.approx(0.04 / kernel_s, rel=0.01)
    assert reason["roof_fraction"] == pytest.approx(0.04 / wall_s, rel=0.01)
    assert reason["launch_share"] == pytest.approx(max(0, 1 - kernel_s / wall_s))


# what has no code, no time or no roof


def test_a_capture_that_only_copies_is_a_copy_without_code(seen):
    [copy] = seen["copy"]["kernels"]
    assert (copy["name"], copy["source"], copy["uops"], copy["ops"]) == ("COPY", "", 0, 0)
    assert copy["bytes"] == 4 * N * N
    assert copy["bound"] == "memory"
    assert seen["copy"]["reason"]["bound"] in ("memory", "launch")


def test_a_call_without_kernels_has_empty_details_and_no_reason(seen):
    assert (seen["nothing"]["kernels"], seen["nothing"]["replay"], seen["nothing"]["reason"]) == ([], [], {})


@pytest.mark.parametrize("name", ["untimed", "silent"])
def test_on_a_device_without_a_clock_the_time_of_the_host_is_taken(seen, name):
    assert all(one["kernel_ms"] == one["host_ms"] > 0 for one in seen[name]["replay"])
    assert all(one["host_us"] == 0 for one in seen[name]["kernels"])


def test_without_ceilings_there_are_times_and_rates_but_no_bound(seen):
    assert seen["without ceilings"]["reason"] == {}
    for one in seen["without ceilings"]["kernels"]:
        assert not {"bound", "roof_fraction"} & one.keys()
        assert one["gflops"] > 0
