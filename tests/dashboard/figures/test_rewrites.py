"""The figures of graph rewrites."""

import math

import pytest
from streamlit.testing.v1 import AppTest

from dashboard import figures
from dashboard.figures import rewrites
from dashboard.figures.rewrites import expression_graph
from experiments.bench.rows import Row
from experiments.registry import find
from experiments.runs import store
from tests.dashboard.frames_of import details_of, rows_of


def axis_titles(panel):
    return panel.figure.layout.xaxis.title.text, panel.figure.layout.yaxis.title.text


def trace(panel, name):
    return next(one for one in panel.figure.data if one.name == name)


def test_the_module_is_found_by_the_experiments_name_and_draws_nothing_from_nothing():
    assert figures.view_of("rewrites").panels is rewrites.panels
    assert rewrites.panels(rows_of("rewrites", []), details_of("rewrites")) == []


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
    return details_of("rewrites", nodes=before[0] + after[0], edges=before[1] + after[1], rules=rules)


def test_rewrites_draws_operations_of_the_rules_that_fired():
    in_graph, in_kernel = rewrites.panels(rows_of("rewrites", [FOLD, IDLE]), graphs())
    assert [(bar.name, bar.y, bar.x) for bar in in_graph.figure.data] == [
        ("before", ("scaled twice<br>fold products",), (2,)),
        ("after", ("scaled twice<br>fold products",), (1,)),
    ]
    assert [bar.x for bar in in_kernel.figure.data] == [(1,), (1,)]


def test_rewrites_draws_both_graphs_side_by_side_with_the_rules_source():
    (panel,) = rewrites.point_panels(rows_of("rewrites", [FOLD, IDLE]), graphs())
    before, after = (one for one in panel.figure.data if one.mode == "markers+text")
    assert (before.text, after.text) == (("x", "2", "×", "3", "×"), ("x", "6", "×"))
    assert (before.xaxis, after.xaxis) == ("x", "x2")
    assert list(before.customdata) == ["input", "constant", "operation", "constant", "operation"]
    assert panel.code == "def fold_products(): ..."
    assert "2 operations become 1: the rule fired once." in panel.caption
    assert "tinygrad compiles the same kernel without the rule" in panel.caption


MIXTURE = (  # ((x*2) * z) + (y+1)*z: two chains, an input that is used twice
    ["x", "2", "×", "z", "×", "y", "1", "+", "×", "+"],
    [(0, 2), (1, 2), (2, 4), (3, 4), (5, 7), (6, 7), (7, 8), (3, 8), (4, 9), (8, 9)],
)


def arranged(labels, pairs):
    nodes, edges = graph("as written", labels, pairs)
    made = details_of("rewrites", nodes=nodes, edges=edges)
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


def test_every_figure_has_a_caption_on_how_to_read_it():
    rows = rows_of("rewrites", [FOLD])
    drawn = [*rewrites.panels(rows, graphs()), *rewrites.point_panels(rows, graphs())]
    assert all(panel.caption.endswith(".") for panel in drawn)
