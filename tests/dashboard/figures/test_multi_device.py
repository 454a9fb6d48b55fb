"""The figures of several devices."""

import pytest

from dashboard.figures import multi_device
from tests.dashboard.frames_of import rows_of, titles


def laid(layout, devices, speedup, inputs="resident"):
    values = {"variant": f"{layout} x{devices}", "layout": layout, "devices": devices, "batch": 16, "inputs": inputs}
    interval = {"speedup_lo": speedup - 0.1, "speedup_hi": speedup + 0.1, "efficiency": speedup / devices}
    return {**values, "speedup": speedup, **interval, "cpu_per_wall": 0.9}


def test_layouts_are_drawn_by_speedup_and_against_devices_where_there_are_several_numbers():
    rows = [laid("data parallel", 2, 1.9), laid("data parallel", 4, 3.6), laid("tensor parallel", 2, 1.5)]
    scaling, bars, busy = multi_device.panels(rows_of("multi_device", rows), {})
    assert [trace.name for trace in scaling.figure.data] == ["ideal", "data parallel", "tensor parallel"]
    assert scaling.figure.data[1].error_y.array == pytest.approx((0.1, 0.1))
    assert bars.figure.data[-1].x == (1.5, 3.6, 1.9)
    assert busy.figure.layout.xaxis.title.text == "CPU time over wall time [cores]"
    assert titles(multi_device.panels(rows_of("multi_device", rows[:1]), {})) == [
        "Speedup of each strategy",
        "Busy cores",
    ]


def test_the_cores_are_shown_where_every_layout_was_measured():
    rows = [laid("processes", 2, 1.9), laid("data parallel", 2, 1.2), laid("data parallel", 2, 0.9, "first device")]
    busy = multi_device.panels(rows_of("multi_device", rows), {})[-1]
    assert set(busy.figure.data[0].y) == {"processes x2", "data parallel x2"}


def test_no_rows_give_no_figures():
    assert multi_device.panels(rows_of("multi_device", []), {}) == []
