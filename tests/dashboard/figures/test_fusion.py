"""The figures of kernel fusion."""

import math

import pytest

from dashboard import figures
from dashboard.figures import fusion
from tests.dashboard.frames_of import details_of, rows_of


def axis_titles(panel):
    return panel.figure.layout.xaxis.title.text, panel.figure.layout.yaxis.title.text


def trace(panel, name):
    return next(one for one in panel.figure.data if one.name == name)


def test_the_module_is_found_by_the_experiments_name_and_draws_nothing_from_nothing():
    assert figures.view_of("fusion").panels is fusion.panels
    assert fusion.panels(rows_of("fusion", []), details_of("fusion")) == []


def chain(elements):
    """One size: fused 2 ms and 4 x faster, cut once 4 ms and 2 x, apart 8 ms."""
    told = {"fused": (1, 2.0, 4.0), "contiguous once": (2, 4.0, 2.0)}
    told |= {"contiguous every op": (5, 8.0, None), "realize every op": (5, 8.0, 1.0)}
    return [
        {
            "variant": variant,
            "elements": elements,
            "bytes": 8 * elements * times,
            "traffic": float(times),
            "latency_ms": ms,
            "latency_lo_ms": ms - 0.5,
            "latency_hi_ms": ms + 0.25,
            "speedup": speedup,
            "speedup_lo": speedup and speedup - 0.5,
            "speedup_hi": speedup and speedup + 0.25,
            "control_lo": 0.9,
            "control_hi": 1.1,
        }
        for variant, (times, ms, speedup) in told.items()
    ]


def test_fusion_draws_bytes_and_time_saved_on_one_axis():
    saved, _ = fusion.panels(rows_of("fusion", [*chain(2000), *chain(1000)]), details_of("fusion"))
    assert axis_titles(saved) == ("Elements [1]", "Saved against one kernel per step [x]")
    assert (trace(saved, "fused").x, trace(saved, "fused").y) == ((1000, 2000), (4.0, 4.0))
    assert trace(saved, "fused").error_y.arrayminus == (0.5, 0.5)
    assert trace(saved, "fused: bytes").y == (5.0, 5.0)
    assert trace(saved, "contiguous once: bytes").y == (2.5, 2.5)


def test_fusion_marks_the_size_from_which_on_it_pays():
    small = [{**one, "verdict": "cannot tell"} for one in chain(1000)]
    large = [{**one, "verdict": "faster"} for one in chain(2000)]
    saved, _ = fusion.panels(rows_of("fusion", [*small, *large]), details_of("fusion"))
    (mark,) = [one for one in saved.figure.layout.annotations if one.text == "fused is faster from here"]
    assert mark.x == pytest.approx(math.log10(2000))
    everywhere, _ = fusion.panels(rows_of("fusion", large), details_of("fusion"))
    assert all(one.text != mark.text for one in everywhere.figure.layout.annotations)


def test_fusion_draws_time_against_bytes_for_every_variant():
    _, by_bytes = fusion.panels(rows_of("fusion", chain(1000)), details_of("fusion"))
    assert axis_titles(by_bytes) == ("Unique bytes of one call [bytes]", "Latency of one call [ms]")
    assert [one.x for one in by_bytes.figure.data] == [(8000,), (16000,), (40000,), (40000,)]


def test_every_figure_has_a_caption_on_how_to_read_it():
    drawn = fusion.panels(rows_of("fusion", chain(1000)), details_of("fusion"))
    assert all(panel.caption.endswith(".") for panel in drawn)
