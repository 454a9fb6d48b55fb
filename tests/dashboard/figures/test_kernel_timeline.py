"""The timeline of one replay."""

import pytest

from dashboard.figures.kernel_timeline import MAX_KERNELS, kernel_timeline
from tests.dashboard.kernel_records import detail_frame, launched


def panel(made):
    return kernel_timeline(detail_frame("replay", made))


def bars(made):
    return {one.name: one for one in panel(made).figure.data}


def test_a_kernel_begins_where_its_launch_ends_and_its_launch_where_it_was_started():
    drawn = bars([launched(1), launched(2)])
    host, kernel = drawn["host: launch and wait"], drawn["kernel"]
    assert host.base == (0.0, 1100.0)
    assert host.x == pytest.approx((15.0, 15.0))
    assert kernel.base == pytest.approx((15.0, 1115.0))
    assert kernel.x == (1000.0, 1000.0)


def test_bars_are_in_the_order_of_the_call_from_the_top():
    drawn = panel([launched(2), launched(1)]).figure
    assert drawn.data[0].y == ("1 r_1", "2 r_2")
    assert drawn.layout.yaxis.autorange == "reversed"


def test_kernels_of_one_name_have_a_bar_each():
    assert len(set(bars([launched(1, name="r"), launched(2, name="r")])["kernel"].y)) == 2


def test_a_device_whose_clock_runs_ahead_gives_no_negative_bar():
    assert bars([launched(1, host_ms=0.9)])["host: launch and wait"].x == (0.0,)


def test_two_hundred_kernels_are_drawn_and_the_caption_has_the_total():
    many = panel([launched(number) for number in range(1, 501)])
    assert len(many.figure.data[0].x) == MAX_KERNELS == 200
    assert many.figure.data[0].y[-1] == "200 r_200"
    assert many.caption.startswith("The first 200 of 500 kernels. ")
    assert "The first" not in panel([launched(number) for number in range(1, 201)]).caption


def test_the_figure_grows_with_the_kernels_and_not_without_end():
    heights = [panel([launched(n) for n in range(1, count + 1)]).figure.layout.height for count in (1, 30, 200)]
    assert heights == sorted(heights)
    assert heights[-1] <= 1200


def test_the_axis_names_quantity_and_unit():
    assert panel([launched()]).figure.layout.xaxis.title.text == "Time since the start of the replay [µs]"


def test_a_replay_without_kernels_has_no_figure():
    assert panel([]) is None
