import math

import pytest

from dashboard import figures
from dashboard.figures import jit_traps
from experiments.bench.columns import IDENTITY
from experiments.compiler.jit_traps.experiment import jit_traps as experiment
from experiments.runs import frames

SILENT = {"variant": "branch", "kind": "silent", "safe": False}
LOOP = {"variant": "empty_loop", "kind": "timing", "safe": False, "claimed_ms": 0.01, "true_ms": 20.0}
WAIT = {"variant": "unsynchronised", "kind": "timing", "safe": True, "claimed_ms": 100.0, "true_ms": 101.0}


def drawn(*rows):
    same = {"run_id": "r", "experiment": "jit_traps", "device": "CPU"}
    frame = frames.frame_of([{**same, **row} for row in rows], (*IDENTITY, *experiment.columns))
    return jit_traps.panels(frame, {})


def test_the_module_is_found_by_the_experiments_name():
    assert figures.view_of("jit_traps").panels is jit_traps.panels


def test_each_trap_on_the_clock_has_its_claim_beside_the_truth():
    (panel,) = drawn(SILENT, LOOP, WAIT)
    assert [(bar.name, bar.x, bar.y) for bar in panel.figure.data] == [
        ("wrong timer", ("empty loop", "unsynchronized"), (0.01, 100.0)),
        ("true time", ("empty loop", "unsynchronized"), (20.0, 101.0)),
    ]


def test_the_bars_carry_their_values_and_differ_in_more_than_colour():
    (panel,) = drawn(LOOP)
    assert [bar.text for bar in panel.figure.data] == [("0.01",), ("20",)]
    assert len({bar.marker.pattern.shape for bar in panel.figure.data}) == 2


def test_the_axis_is_logarithmic_and_holds_the_shortest_and_the_longest_bar():
    axis = drawn(LOOP, WAIT)[0].figure.layout.yaxis
    assert (axis.type, axis.title.text) == ("log", "Time of one call [ms]")
    assert axis.range[0] < math.log10(0.01)
    assert axis.range[1] > math.log10(101)


def test_the_figure_has_a_caption_on_how_to_read_it():
    (panel,) = drawn(LOOP)
    assert panel.title == "Reported and true time"
    assert panel.caption.endswith(".")


@pytest.mark.parametrize("rows", [(), (SILENT,)])
def test_without_a_trap_on_the_clock_there_is_no_figure(rows):
    assert drawn(*rows) == []
