"""Columns and details from request records, and the search for the highest rate."""

import numpy as np
import pytest

from experiments.deployment.serving.loads import RECORD, LoadPlan, highest_rate
from experiments.deployment.serving.results import distribution, summary, timeline


def records_of(count, took_ms=5.0, status=200, error=0.0):
    records = np.zeros(count, RECORD)
    records["scheduled_s"] = records["sent_s"] = np.arange(count) / 100
    records["finished_s"] = records["scheduled_s"] + took_ms / 1e3
    records["status"], records["rows"], records["batch"], records["error"] = status, 1, 2, error
    records["queue_ms"], records["gather_ms"], records["handover_ms"], records["compute_ms"] = 1, 2, 0.5, 0.25
    return records


@pytest.mark.parametrize(
    ("count", "p95", "p99", "remark"),
    [
        (19, None, None, "too few for p95 and p99: 19 answers"),
        (99, 5.0, None, "too few for p99: 99 answers"),
        (100, 5.0, 5.0, None),
    ],
)
def test_a_percentile_with_too_few_answers_is_empty_with_a_remark(count, p95, p99, remark):
    seen = summary(records_of(count), 10, 1e-3)
    assert (seen["p95_ms"], seen["p99_ms"], seen["remark"]) == (pytest.approx(p95), pytest.approx(p99), remark)


def test_the_latency_counts_from_the_scheduled_arrival():
    records = records_of(100)
    records["sent_s"] += 0.004  # of the 5 ms
    seen = summary(records, 10, 1e-3)
    assert seen["p50_ms"] == pytest.approx(5.0)
    assert seen["unsent_ms"] == pytest.approx(4.0)


def test_the_parts_add_up_to_the_mean_latency():
    seen = summary(records_of(50), 10, 1e-3)
    parts = [seen[name] for name in ("unsent_ms", "transport_ms", "gather_ms", "queue_ms", "handover_ms", "compute_ms")]
    assert sum(parts) == pytest.approx(seen["mean_ms"])
    assert seen["transport_ms"] == pytest.approx(1.25)


def test_rejected_lost_and_wrong_answers_count_as_late():
    records = records_of(1000)
    assert summary(records, 10, 1e-3)["slo_met"] is True
    records["status"][:4] = 503
    records["status"][4:7], records["finished_s"][4:7] = 0, np.nan
    records["error"][7:11] = 1.0
    seen = summary(records, 10, 1e-3)
    assert (seen["rejected"], seen["errors"], seen["in_time"]) == (4, 7, 0.989)
    assert seen["slo_met"] is False
    assert seen["in_time_lo"] < 0.989 < seen["in_time_hi"]


def test_a_load_without_answers_has_only_counts():
    records = records_of(10, status=0)
    records["finished_s"] = np.nan
    seen = summary(records, 10, 1e-3)
    assert (seen["errors"], seen["achieved_per_s"], seen["slo_met"]) == (10, 0.0, False)
    assert "p50_ms" not in seen
    assert distribution(records) == []
    assert timeline(records)[0]["request_ms"] is None


def test_the_timeline_is_bounded_and_keeps_the_slowest():
    records = records_of(10_000)
    records["finished_s"][7001] += 1
    shown = timeline(records)
    assert len(shown) <= 330
    assert max(one["request_ms"] for one in shown) == pytest.approx(1005)
    assert {one["in_flight"] for one in shown} >= {1, 2}


def test_the_distribution_ends_where_the_sample_is_too_small():
    assert max(one["share"] for one in distribution(records_of(50))) == 0.98
    assert max(one["share"] for one in distribution(records_of(5000))) == 0.999


def test_poisson_arrivals_have_their_rate_and_are_the_same_for_all_policies():
    plan = LoadPlan(1, "open", rate_per_s=1000, seconds=10)
    arrivals = plan.schedule()
    assert len(arrivals) == 10_000
    assert (np.diff(arrivals) > 0).all()
    assert np.std(np.diff(arrivals)) == pytest.approx(1e-3, rel=0.1)
    assert (arrivals == plan.schedule()).all()


@pytest.mark.parametrize("capacity", [7, 90, 1000, 2600, 31_000])
def test_the_search_finds_the_highest_rate_within_the_slo(capacity):
    found = highest_rate(lambda rate: rate <= capacity, start=1000, trials=20)
    assert capacity / 1.2 <= found <= capacity


def test_the_search_finds_nothing_if_no_rate_is_within_the_slo_and_stops_after_its_trials():
    tried = []
    assert highest_rate(lambda rate: tried.append(rate) is not None, start=1000, trials=5) is None
    assert len(tried) == 5
