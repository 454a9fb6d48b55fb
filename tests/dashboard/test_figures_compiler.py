"""The figures of shapes, fusion and graph rewrites."""

import math

import pytest
from streamlit.testing.v1 import AppTest

from dashboard import figures
from dashboard.figures import expression_graph, fusion, rewrites, shapes
from experiments.bench.rows import Row
from experiments.registry import find
from experiments.runs import frames, store


def frame(name, made):
    same = {"run_id": "r", "experiment": name, "device": "CPU"}
    return frames.frame_of([{**same, **one} for one in made], (*frames.IDENTITY, *find(name).columns))


def details(name, **records):
    declared = find(name).details
    return {one: frames.frame_of(records.get(one, []), columns) for one, columns in declared.items()}


def titles(panel):
    return panel.figure.layout.xaxis.title.text, panel.figure.layout.yaxis.title.text


def trace(panel, name):
    return next(one for one in panel.figure.data if one.name == name)


@pytest.mark.parametrize("module", [fusion, rewrites, shapes])
def test_the_module_is_found_by_the_experiments_name_and_draws_nothing_from_nothing(module):
    name = module.__name__.rsplit(".", 1)[1]
    assert figures.drawings(name).panels is module.panels
    assert module.panels(frame(name, []), details(name)) == []


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
    saved, _ = fusion.panels(frame("fusion", [*chain(2000), *chain(1000)]), details("fusion"))
    assert titles(saved) == ("Elements [1]", "Saved against one kernel per step [x]")
    assert (trace(saved, "fused").x, trace(saved, "fused").y) == ((1000, 2000), (4.0, 4.0))
    assert trace(saved, "fused").error_y.arrayminus == (0.5, 0.5)
    assert trace(saved, "fused: bytes").y == (5.0, 5.0)
    assert trace(saved, "contiguous once: bytes").y == (2.5, 2.5)


def test_fusion_marks_the_size_from_which_on_it_pays():
    small = [{**one, "verdict": "cannot tell"} for one in chain(1000)]
    large = [{**one, "verdict": "faster"} for one in chain(2000)]
    saved, _ = fusion.panels(frame("fusion", [*small, *large]), details("fusion"))
    (mark,) = [one for one in saved.figure.layout.annotations if one.text == "fusing pays from here"]
    assert mark.x == pytest.approx(math.log10(2000))
    everywhere, _ = fusion.panels(frame("fusion", large), details("fusion"))
    assert all(one.text != mark.text for one in everywhere.figure.layout.annotations)


def test_fusion_draws_time_against_bytes_for_every_variant():
    _, by_bytes = fusion.panels(frame("fusion", chain(1000)), details("fusion"))
    assert titles(by_bytes) == ("Unique bytes of one call [bytes]", "Latency of one call [ms]")
    assert [one.x for one in by_bytes.figure.data] == [(8000,), (16000,), (40000,), (40000,)]


CALLS = [
    {"variant": variant, "call": call, "called_shape": shape, "call_ms": ms, "compiling_ms": compiling}
    | {"captures_so_far": captures, "programs_so_far": 2}
    for variant in ("eager", "one jit per shape")
    for call, shape, ms, compiling, captures in (
        (1, "2x8", 900.0, 800.0, 0),
        (2, "16x8", 600.0, 0.0, 0),
        (3, "2x8", 500.0, 0.0, 1),
    )
]


def timed(shape, variant, ms):
    return {"shape": shape, "variant": variant, "latency_ms": ms, "latency_lo_ms": ms - 1, "latency_hi_ms": ms + 2}


def test_shapes_draws_the_measured_stream_as_cumulative_seconds():
    cumulative, _ = shapes.panels(frame("shapes", []), details("shapes", stream=CALLS))
    assert titles(cumulative) == ("Number of the call in the stream", "Cumulative time [s]")
    assert trace(cumulative, "eager").y == pytest.approx((0.9, 1.5, 2.0))
    marks = cumulative.figure.data[1]
    assert (marks.x, marks.y) == ((1,), (0.9,))  # only the call that compiled


def test_shapes_draws_further_rounds_faintly_and_below_the_first():
    again = [{**one, "round": 2, "call_ms": 100.0} for one in CALLS]
    stream = [*({**one, "round": 1} for one in CALLS), *again]
    cumulative, growth = shapes.panels(frame("shapes", []), details("shapes", stream=stream))
    lines = [one for one in cumulative.figure.data if one.mode == "lines"]
    assert [one.y[0] for one in lines] == pytest.approx([0.1, 0.1, 0.9, 0.9])
    assert [one.showlegend for one in lines] == [False, False, True, True]
    assert len(growth.figure.data) == 2


def test_shapes_draws_the_captures_as_they_grow():
    _, growth = shapes.panels(frame("shapes", []), details("shapes", stream=CALLS))
    assert trace(growth, "one jit per shape").y == (0, 0, 1)
    assert trace(growth, "one jit per shape").line.shape == "hv"


def test_shapes_orders_its_axis_by_size_and_not_by_letters():
    rows = [timed(shape, "eager", 5.0) for shape in ("16x8", "2x8", "2x16")]
    (latency,) = shapes.panels(frame("shapes", rows), details("shapes"))
    assert latency.figure.layout.xaxis.categoryarray == ("2x8", "2x16", "16x8")
    assert trace(latency, "eager").x == ("2x8", "2x16", "16x8")
    assert trace(latency, "eager").error_y.array == (2.0, 2.0, 2.0)


FOLD = {"expression": "scaled twice", "variant": "fold products", "fired": 1, "ops_before": 2, "ops_after": 1}
FOLD |= {"kernel_ops_before": 1, "kernel_ops_after": 1, "already": True}
IDLE = FOLD | {"variant": "factor out", "fired": 0, "already": None}


def graph(variant, labels, pairs):
    where = {"expression": "scaled twice", "variant": variant}
    layers: dict[int, int] = {}
    for number in range(len(labels)):
        below = [layers[operand] for operand, user in pairs if user == number]
        layers[number] = 1 + max(below) if below else 0
    nodes = [{**where, "node": n, "label": label, "layer": layers[n]} for n, label in enumerate(labels)]
    return nodes, [{**where, "operand": operand, "node": user} for operand, user in pairs]


def graphs():
    before = graph("as written", ["x", "2", "×", "3", "×"], [(0, 2), (1, 2), (2, 4), (3, 4)])
    after = graph("fold products", ["x", "6", "×"], [(0, 2), (1, 2)])
    rules = [{"variant": "fold products", "source": "def fold_products(): ..."}]
    return details("rewrites", nodes=before[0] + after[0], edges=before[1] + after[1], rules=rules)


def test_rewrites_draws_operations_of_the_rules_that_fired():
    in_graph, in_kernel = rewrites.panels(frame("rewrites", [FOLD, IDLE]), graphs())
    assert [(bar.name, bar.y, bar.x) for bar in in_graph.figure.data] == [
        ("before", ("scaled twice<br>fold products",), (2,)),
        ("after", ("scaled twice<br>fold products",), (1,)),
    ]
    assert [bar.x for bar in in_kernel.figure.data] == [(1,), (1,)]


def test_rewrites_draws_both_graphs_side_by_side_with_the_rules_source():
    (panel,) = rewrites.point_panels(frame("rewrites", [FOLD, IDLE]), graphs())
    before, after = (one for one in panel.figure.data if one.mode == "markers+text")
    assert (before.text, after.text) == (("x", "2", "×", "3", "×"), ("x", "6", "×"))
    assert (before.xaxis, after.xaxis) == ("x", "x2")
    assert list(before.customdata) == ["input", "constant", "operation", "constant", "operation"]
    assert panel.code == "def fold_products(): ..."
    assert "2 operations become 1: the rule fired once." in panel.caption
    assert "tinygrad compiles the same kernel without it" in panel.caption


MIXTURE = (  # ((x*2) * z) + (y+1)*z: two chains, an input that is used twice
    ["x", "2", "×", "z", "×", "y", "1", "+", "×", "+"],
    [(0, 2), (1, 2), (2, 4), (3, 4), (5, 7), (6, 7), (7, 8), (3, 8), (4, 9), (8, 9)],
)


def arranged(labels, pairs):
    nodes, edges = graph("as written", labels, pairs)
    made = details("rewrites", nodes=nodes, edges=edges)
    return expression_graph.arrange(made["nodes"], made["edges"])


@pytest.mark.parametrize("made", [MIXTURE, (["x", "×"], [(0, 1), (0, 1)]), (["x", "8", "<<"], [(0, 2), (1, 2)])])
def test_no_mark_of_a_graph_covers_another_and_all_are_within_their_columns(made):
    found = arranged(*made)
    spots = [(spot.column, spot.layer) for spot in found.spots]
    assert min(math.dist(a, b) for number, a in enumerate(spots) for b in spots[:number]) >= 1
    assert all(0 <= column <= found.columns - 1 for column, _ in spots)


def test_an_operation_is_drawn_once_and_an_input_where_it_is_used():
    labels = [spot.label for spot in arranged(*MIXTURE).spots]
    assert sorted(labels) == sorted(["x", "2", "×", "z", "×", "y", "1", "+", "z", "×", "+"])


def test_an_operation_that_is_used_twice_is_one_mark():
    found = arranged(["x", "y", "+", "×"], [(0, 2), (1, 2), (2, 3), (2, 3)])
    assert [spot.label for spot in found.spots] == ["x", "y", "+", "×"]


def test_every_figure_says_how_to_read_it():
    drawn = [
        *fusion.panels(frame("fusion", chain(1000)), details("fusion")),
        *shapes.panels(frame("shapes", [timed("2x8", "eager", 5.0)]), details("shapes", stream=CALLS)),
        *rewrites.panels(frame("rewrites", [FOLD]), graphs()),
        *rewrites.point_panels(frame("rewrites", [FOLD]), graphs()),
    ]
    assert len(drawn) == 8
    assert all(panel.caption.endswith(".") for panel in drawn)


def test_the_page_shows_the_rules_source_below_its_graphs(db):
    spec = find("rewrites").preset("quick").model_dump(mode="json") | {"device": "CPU"}
    run_id = store.add_run(db, experiment="rewrites", spec=spec, device="CPU", host="here", time_limit_s=9.0)
    assert store.claim(db, run_id, "somebody")
    batch = store.Batch()
    batch.rows = [Row(FOLD)]
    kept = graphs()
    for name in ("nodes", "edges", "rules"):
        batch.details.append((name, kept[name].to_dict("records")))
    store.write(db, run_id, "somebody", batch, 0, 0)
    store.finish(db, run_id, "somebody", "done", "done")
    page = AppTest.from_string(
        "from dashboard.pages import experiment\nexperiment.show('rewrites')\n", default_timeout=60
    )
    page.query_params["run"] = run_id
    page.run()
    assert not page.exception
    assert "def fold_products(): ..." in [code.value for code in page.code]
