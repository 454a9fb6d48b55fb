"""The tour leads through pages that exist, with presets that they have, and knows what was done here."""

import re

from dashboard import links
from dashboard.tour import TOUR
from experiments.registry import find, registered

STOPS = [stop for part in TOUR.values() for stop in part]


def test_every_stop_is_a_preset_of_an_experiment_and_none_comes_twice():
    assert len({stop.experiment for stop in STOPS}) == len(STOPS)
    for stop in STOPS:
        assert stop.preset in find(stop.experiment).presets


def test_every_challenge_is_on_the_way_with_the_preset_that_it_starts_from():
    starts = {one.name: one.challenge.start for one in registered().values() if one.challenge}
    assert starts == {stop.experiment: stop.preset for stop in STOPS if stop.experiment in starts}


def test_the_link_of_a_stop_fills_the_form_with_its_preset():
    assert links.preset_query(find("quantization"), "exercise") == {"network": "cnn", "batch": "32"}


def test_the_tour_counts_the_stops_that_were_done_here(overview, stored):
    stored()
    stored(experiment="fusion", imported=True)
    page = overview()
    [label] = [one.label for one in page.expander if one.label.startswith("Tour")]
    assert label == f"Tour: {len(STOPS)} stops in the order of the course (1 done)"
    ticked = [one.proto.label for one in page.get("page_link") if "check_circle" in one.proto.icon]
    assert ticked == ["1. JIT"]


def test_every_stop_is_numbered_in_order(overview):
    numbers = [re.match(r"(\d+)\. ", one.proto.label) for one in overview().get("page_link")]
    assert [int(one[1]) for one in numbers if one] == list(range(1, len(STOPS) + 1))
