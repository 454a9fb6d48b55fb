import pandas as pd
import pytest

from dashboard.figures.cold import LOOKS, cold_panel, short
from experiments.bench.tinygrad.phases import COLD_PHASES, PHASES

COLD = {"import": 100.0, "device open": 900.0, "schedule": 20.0, "compiler": 80.0, "run": 10.0, "other": 0.5}
CACHED = {"import": 100.0, "device open": 300.0, "schedule": 20.0, "compiler": 0.25, "run": 10.0}
WARM = {"schedule": 2.0, "run": 4.0}


def frame(**states):
    records = [
        {"state": state.replace("_", " "), "phase": phase, "phase_ms": value}
        for state, phases in states.items()
        for phase, value in phases.items()
    ]
    return pd.DataFrame(records, columns=[column.name for column in COLD_PHASES])


@pytest.fixture
def figure():
    return cold_panel(frame(warm=WARM, disk_cache=CACHED, cold=COLD)).figure


def test_each_phase_is_a_part_of_the_bars_of_the_states_that_have_it_in_the_order_of_the_call(figure):
    assert [bar.name for bar in figure.data] == [phase for phase in PHASES if phase in COLD]
    parts = {bar.name: dict(zip(bar.y, bar.x, strict=True)) for bar in figure.data}
    assert parts["schedule"] == {"cold": 20.0, "disk cache": 20.0, "warm": 2.0}
    assert parts["import"] == {"cold": 100.0, "disk cache": 100.0}
    assert figure.layout.barmode == "stack"


def test_the_whole_time_stands_beside_each_bar(figure):
    assert {one.y: one.text for one in figure.layout.annotations} == {
        "cold": "1,110 ms",
        "disk cache": "430 ms",
        "warm": "6 ms",
    }


def test_every_part_carries_its_value(figure):
    assert {bar.name: bar.text for bar in figure.data}["compiler"] == ("80", "0.25")


def test_the_cold_bar_is_on_top(figure):
    assert figure.layout.yaxis.categoryarray == ("warm", "disk cache", "cold")


def test_the_axis_names_its_quantity_and_unit_and_has_room_for_the_totals(figure):
    assert figure.layout.xaxis.title.text == "Time of the first call [ms]"
    assert figure.layout.xaxis.range[1] > sum(COLD.values())


def test_every_phase_has_a_look_of_its_own():
    assert list(LOOKS) == list(PHASES)
    assert len(set(LOOKS.values())) == len({color for color, _ in LOOKS.values()}) == len(PHASES)
    assert len({hatch for _, hatch in LOOKS.values()}) > 3


def test_a_state_that_has_not_come_yet_is_left_out():
    figure = cold_panel(frame(cold=COLD)).figure
    assert figure.layout.yaxis.categoryarray == ("cold",)
    assert len(figure.layout.annotations) == 1


def test_an_empty_frame_gives_an_empty_figure():
    assert not cold_panel(frame()).figure.data


def test_the_panel_has_a_caption_on_how_to_read_it():
    panel = cold_panel(frame(cold=COLD))
    assert panel.title == "Breakdown of the first call"
    assert panel.caption.endswith(".")


@pytest.mark.parametrize(("value", "text"), [(0.2468, "0.247"), (12.34, "12.3"), (99.96, "100"), (2134.6, "2,135")])
def test_numbers_are_short_and_never_in_powers_of_ten(value, text):
    assert short(value) == text
