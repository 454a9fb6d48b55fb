"""The figures of serving."""

import pytest

from dashboard.figures import serving
from tests.dashboard.frames_of import details_of, rows_of, titles


def load(variant, arrival, rate=None, clients=None, p99=4.0, **further):
    timed = {"p50_ms": 2.0, "p50_lo_ms": 1.5, "p50_hi_ms": 2.5, "p95_ms": 3.0, "p99_ms": p99, "mean_ms": 2.2}
    parts = dict.fromkeys(serving.PARTS, 0.3)
    point = {"variant": variant, "path": "fast", "arrival": arrival, "rate_per_s": rate, "clients": clients}
    return {
        **point,
        "objective_ms": 10.0,
        **timed,
        **parts,
        "achieved_per_s": 100.0,
        "mean_batch": 2.0,
        "in_time": 1.0,
        **further,
    }


OPEN = [load(name, "open", rate) for rate in (50.0, 400.0) for name in ("no batching", "batch 32, drain")]


def test_the_policies_are_compared_at_the_expected_rate_with_the_objective():
    [first, *_] = serving.panels(rows_of("serving", OPEN), details_of("serving"))
    assert first.title == "At 50 requests per second"
    median, p95, p99 = (trace for trace in first.figure.data if trace.x != (None,))
    assert (median.name, p95.name, p99.name) == ("median", "95th percentile", "99th")
    assert set(median.y) == {"no batching", "batch 32, drain"}
    assert median.error_x.array == pytest.approx((0.5, 0.5))
    assert [line.x0 for line in first.figure.layout.shapes] == [10.0]


def test_a_percentile_that_was_not_supported_is_not_drawn():
    [panel] = serving.panels(rows_of("serving", [load("no batching", "open", 50.0, p99=None)]), details_of("serving"))
    assert {trace.name for trace in panel.figure.data} == {"median", "95th percentile", "objective"}
    assert {y for trace in panel.figure.data for y in trace.y} == {"no batching"}  # a first None made the axis numeric


def test_latency_is_drawn_against_load_and_a_rate_tried_twice_counts_once():
    again = [*OPEN, load("no batching", "open", 400.0, p99=9.0)]
    _, panel = serving.panels(rows_of("serving", again), details_of("serving"))
    assert panel.title == "Latency against load"
    first = panel.figure.data[0]
    assert (first.name, first.x, first.y) == ("no batching", (50.0, 400.0), (4.0, 9.0))
    assert panel.figure.layout.xaxis.title.text == "Scheduled arrivals [1/s]"


def test_the_rates_of_a_search_are_drawn_as_load_and_not_as_the_expected_rate():
    tried = [load("no batching", "open", rate, highest=False) for rate in (1000.0, 2000.0)]
    assert titles(serving.panels(rows_of("serving", tried), details_of("serving"))) == ["Latency against load"]


def test_clients_and_both_kinds_of_settings_have_their_figures():
    rows = [load("no batching", "single", clients=1), load("no batching", "closed", clients=8)]
    rows += [load("no batching", "offline", clients=8, p50_ms=None)]
    drawn = serving.panels(rows_of("serving", rows), details_of("serving"))
    assert titles(drawn) == ["Throughput and latency by clients", "Edge against cloud"]
    assert drawn[0].figure.data[0].text == ("8",)
    edge, cloud = drawn[1].figure.data
    assert (edge.x, cloud.x) == ((2.0,), (100.0,))


def test_the_plain_paths_parts_stand_beside_the_fast_path():
    same = {"rows": 1, "latency_ms": 1.0, "latency_lo_ms": 0.9, "latency_hi_ms": 1.1}
    parts = [("plain", "all of it"), ("plain", "numpy to tensor"), ("plain", "replay"), ("fast", "all of it")]
    made = [{**same, "path": path, "part": part} for path, part in parts]
    panel = serving.panels(rows_of("serving", OPEN), details_of("serving", paths=made))[-1]
    assert panel.title == "The execution path in tinygrad"
    shown = {(bar, trace.name) for trace in panel.figure.data for bar in trace.y}
    assert shown == {
        ("plain, 1 row", "numpy to tensor"),
        ("plain, 1 row", "replay"),
        ("fast, 1 row", "fast: kernels on the captured buffers"),
    }


def test_one_load_shows_where_the_time_went_its_distribution_and_its_course():
    where = {"variant": "no batching", "arrival": "open", "rate_per_s": 50.0}
    made = details_of(
        "serving",
        distribution=[{**where, "share": 0.5, "request_ms": 2.0}, {**where, "share": 0.9, "request_ms": 3.0}],
        requests=[{**where, "arrived_ms": 1.0, "request_ms": 2.0, "in_flight": 3, "rows": 4, "status": 200}],
    )
    parts, shares, course = serving.point_panels(rows_of("serving", OPEN[:1]), made)
    assert [trace.x for trace in parts.figure.data] == [(0.3,)] * len(serving.PARTS)
    assert shares.figure.data[0].y == (50.0, 90.0)
    assert [trace.y for trace in course.figure.data] == [(2.0,), (3,), (4,)]


def test_a_policy_keeps_its_color_on_the_page_and_similar_ones_differ():
    alone = serving.looks(rows_of("serving", [load("batch 32, drain", "single")]))
    both = serving.looks(rows_of("serving", OPEN))
    assert alone["batch 32, drain"] == both["batch 32, drain"]
    like = serving.looks(rows_of("serving", [load(f"batch {size}, drain", "single") for size in (4, 16, 64)]))
    assert len(set(like.values())) == 3


def test_no_rows_give_no_figures():
    assert serving.panels(rows_of("serving", []), details_of("serving")) == []
    assert serving.point_panels(rows_of("serving", []), details_of("serving")) == []
