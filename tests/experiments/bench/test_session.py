import hashlib
from pathlib import Path

import numpy as np
import pytest

from experiments.bench import session
from experiments.bench.columns import COMMON, IDENTITY, TIMED, check_record
from experiments.bench.events import ArtifactEvent, DetailEvent, ProgressEvent
from experiments.bench.session import Bench, max_abs_error, timed_row, tolerance
from experiments.bench.timing.measure import HARNESS, Comparison, Timing


@pytest.fixture
def events():
    return []


@pytest.fixture
def bench(events):
    return Bench("CPU", events.append)


@pytest.mark.parametrize(
    ("seen", "reference", "error"),
    [
        ([1.0, 2.0], [1.0, 2.5], 0.5),
        ([1.0, -2.0], [1.0, 2.0], 4.0),
        ([], [], 0.0),
        ([1.0, np.nan], [1.0, 2.0], np.inf),
        ([1.0], [np.nan], np.inf),
        ([np.inf], [np.inf], np.inf),
        ([1.0], [1.0, 1.0], np.inf),
        ([[1.0, 2.0]], [1.0, 2.0], np.inf),  # broadcasting must not hide a wrong shape
        ([250], [5], 245.0),
    ],
)
def test_the_error_is_the_largest_difference_and_endless_where_none_can_be_taken(seen, reference, error):
    assert max_abs_error(np.array(seen), np.array(reference)) == error


def test_the_error_of_small_integers_does_not_wrap_around():
    assert max_abs_error(np.array([5], np.uint8), np.array([250], np.uint8)) == 245.0


def test_the_tolerance_follows_the_largest_reference_value():
    assert tolerance(np.array([1.0, -200.0]), 0.5, 0.01) == 2.5
    assert tolerance(np.array([]), 0.5, 0.01) == 0.5


@pytest.fixture
def comparison():
    """Twelve blocks without noise: `half` takes half the baseline's time; the control is the baseline."""
    timings = {
        "base": Timing(2, [0.002] * 12, [0.002] * 24, cpu_s=0.03, wall_s=0.06, redrawn=True),
        "half": Timing(4, [0.001] * 12, [0.001] * 48, redrawn=True),
    }
    return Comparison("base", timings, Timing(2, [0.002] * 12))


def test_a_row_carries_the_speedup_with_its_interval_and_verdict(comparison):
    values = timed_row(comparison, "half", kernels=3).values
    assert values["variant"] == "half"
    assert values["kernels"] == 3
    assert [values[name] for name in ("latency_ms", "latency_lo_ms", "latency_hi_ms")] == [1.0, 1.0, 1.0]
    assert [values[name] for name in ("speedup", "speedup_lo", "speedup_hi")] == [2.0, 2.0, 2.0]
    assert [values[name] for name in ("control_lo", "control_hi", "samples")] == [1.0, 1.0, 12]
    assert (values["baseline"], values["verdict"]) == ("base", "faster")
    assert (values["instances"], values["detectable"], values["harness"]) == (12, 0.0, HARNESS)


def test_a_row_keeps_to_the_common_columns(comparison):
    for variant in ("base", "half"):
        check_record(timed_row(comparison, variant).values, (*IDENTITY, *(COMMON[name] for name in TIMED)))


def test_percentiles_are_empty_where_there_are_too_few_single_calls(comparison):
    values = timed_row(comparison, "half").values
    assert (values["p95_ms"], values["p99_ms"]) == (1.0, None)


def test_the_baseline_is_compared_with_nothing_and_keeps_the_controls_samples(comparison):
    row = timed_row(comparison, "base")
    assert row.values["verdict"] == "baseline"
    assert not {"speedup", "speedup_lo", "speedup_hi"} & row.values.keys()
    assert [(one.kind, one.inner, len(one.seconds)) for one in row.samples] == [
        ("block", 2, 12),
        ("single", 1, 24),
        ("control", 2, 12),
    ]


def test_a_variant_keeps_its_own_samples_only(comparison):
    assert [(one.kind, one.inner) for one in timed_row(comparison, "half").samples] == [("block", 4), ("single", 1)]


@pytest.mark.parametrize("variant", ["base", "half"])
def test_a_wrong_result_keeps_its_latency_and_gets_no_speedup(comparison, variant):
    values = timed_row(comparison, variant, wrong=True).values
    assert values["verdict"] == "wrong"
    assert values["latency_ms"] > 0
    assert not {"speedup", "speedup_lo", "speedup_hi"} & values.keys()


def test_the_share_of_the_processor_is_empty_where_nothing_was_timed(comparison):
    assert timed_row(comparison, "base").values["cpu_per_wall"] == 0.5
    assert timed_row(comparison, "half").values["cpu_per_wall"] is None


def test_too_few_blocks_give_a_latency_without_interval_and_no_verdict():
    few = Comparison("a", {"a": Timing(1, [2.0] * 5), "b": Timing(1, [1.0] * 5)}, Timing(1, [2.0] * 5))
    values = timed_row(few, "b").values
    assert (values["latency_ms"], values["latency_lo_ms"], values["verdict"]) == (1000.0, None, "cannot tell")


def test_progress_stays_between_nothing_and_all(bench, events):
    for fraction in (-1.0, 0.5, 2.0):
        bench.progress(fraction, "measuring")
    assert [event.fraction for event in events] == [0.0, 0.5, 1.0]
    assert events[1] == ProgressEvent(0.5, "measuring")


def test_a_detail_is_a_list_of_records(bench, events):
    bench.detail("timeline", [{"call": 1}, {"call": 2}])
    assert events == [DetailEvent("timeline", [{"call": 1}, {"call": 2}])]


def test_an_artifact_is_stored_by_its_hash(bench, events):
    digest = bench.artifact("model.bin", b"\x00\x01")
    assert digest == hashlib.sha256(b"\x00\x01").hexdigest()
    assert events == [ArtifactEvent("model.bin", digest, b"\x00\x01")]


def test_a_too_large_artifact_is_refused(bench, events, monkeypatch):
    monkeypatch.setattr(session, "MAX_ARTIFACT_BYTES", 4)
    bench.artifact("fits", b"1234")
    with pytest.raises(ValueError, match=r"artifact model\.bin has 5 bytes; at most 4 are allowed"):
        bench.artifact("model.bin", b"12345")
    assert len(events) == 1


HELPERS = "tests.experiments.bench.timing.helpers"


@pytest.fixture
def cold(bench):
    def ask(function, **arguments):
        with bench.cold_starts(function, {"one": arguments}) as started:
            started["one"].wait_until_ready()
            return started["one"].ask_and_close()

    return ask


def test_a_cold_process_has_an_empty_kernel_cache_of_its_own(cold):
    answer = cold(f"{HELPERS}:answers", n=3)
    assert (answer["device"], answer["n"], answer["used"]) == ("CPU", 3, False)
    assert not Path(answer["cache"]).parent.exists()


def test_a_failing_cold_process_reports_its_cause_in_one_line(cold):
    with pytest.raises(RuntimeError) as failed:
        cold(f"{HELPERS}:raises")
    assert str(failed.value) == f"the helper process of {HELPERS}:raises failed: MemoryError: no room"


def test_a_cold_process_that_dies_names_its_exit_code(cold):
    with pytest.raises(RuntimeError, match=r"the helper process of .*:dies failed: exit code 7"):
        cold(f"{HELPERS}:dies")


def test_an_unknown_function_is_a_failed_cold_process(cold):
    with pytest.raises(RuntimeError, match="has no attribute 'nothing'"):
        cold("experiments.bench.timing.helper_process:nothing")
