"""One look for all figures."""

import itertools

import pandas as pd
import plotly.graph_objects as go
import pytest

from dashboard.theme import OTHERS, STYLES, distinct, layout, log_axis, style


def ticks(values, given=None):
    figure = go.Figure()
    log_axis(figure, "y", pd.Series(values), None if given is None else pd.Series(given))
    return figure.layout.yaxis


@pytest.mark.parametrize(("one", "other"), [("eager", "jit"), ("eager", "capture"), ("jit", "capture")])
def test_techniques_differ_in_colour_and_symbol_and_dash(one, other):
    a, b = style(one), style(other)
    assert a.color != b.color
    assert a.symbol != b.symbol
    assert a.dash != b.dash


def test_a_replay_looks_like_the_jit():
    assert style("replay") == style("jit")


def test_an_unknown_technique_always_looks_the_same_and_like_no_known_one():
    assert style("something new") is style("something new")
    assert style("something new") in OTHERS
    assert not set(OTHERS) & set(STYLES.values())


def test_the_looks_of_unknown_techniques_differ_in_colour_and_symbol_and_dash():
    for a, b in itertools.combinations(OTHERS, 2):
        assert len({a.color, b.color}) == len({a.symbol, b.symbol}) == len({a.dash, b.dash}) == 2


def test_of_techniques_with_one_look_the_first_keeps_it_and_the_others_take_what_nobody_has():
    looks = distinct(["magnitude cubic", "magnitude one shot", "lamp", "magnitude cubic"])
    assert list(looks) == ["magnitude cubic", "magnitude one shot", "lamp"]
    assert (looks["magnitude cubic"], looks["lamp"]) == (style("magnitude"), style("lamp"))
    for a, b in itertools.combinations(looks.values(), 2):
        assert len({a.color, b.color}) == len({a.symbol, b.symbol}) == len({a.dash, b.dash}) == 2


def test_more_techniques_than_colours_still_have_a_look():
    assert len(distinct(f"magnitude {number}" for number in range(20))) == 20


def test_a_layout_has_both_axis_titles():
    figure = layout(go.Figure(), "Time [s]", "Size [bytes]")
    assert (figure.layout.xaxis.title.text, figure.layout.yaxis.title.text) == ("Time [s]", "Size [bytes]")


def test_a_logarithmic_axis_has_ticks_at_1_2_and_5_around_the_values():
    axis = ticks([0.3, 4.0])
    assert axis.type == "log"
    assert axis.tickvals == pytest.approx((0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50))
    assert axis.ticktext == ("0.1", "0.2", "0.5", "1", "2", "5", "10", "20", "50")


def test_a_wide_logarithmic_axis_has_ticks_at_powers_of_ten():
    assert ticks([1.0, 90_000.0]).ticktext == ("1", "10", "100", "1,000", "10,000", "100,000")


def test_given_ticks_are_taken_once_each_and_sorted():
    assert ticks([16, 64], [64, 16, 64]).tickvals == (16, 64)


def test_too_many_given_ticks_are_thinned():
    assert len(ticks(range(1, 100), range(1, 100)).tickvals) < 12


@pytest.mark.parametrize("values", [[], [0.0, -1.0], [None]])
def test_an_axis_without_positive_values_stays_linear(values):
    assert ticks(pd.array(values, dtype="Float64")).type is None


def test_the_longest_known_name_gives_the_look():
    assert style("gather random") == STYLES["gather random"] != STYLES["random"]
    assert style("int8 static") == STYLES["static"]
