"""Runs side by side on one page, with the state in its URL."""

import json
import math

import pytest
from sqlalchemy import select, update
from streamlit.testing.v1 import AppTest

from experiments.runs import schema, store
from tests.dashboard.run_records import record

PAGE = "from dashboard.pages import compare\ncompare.show()\n"


@pytest.fixture
def compared():
    """Opens the page with the parameters of its URL."""

    def opened(**parameters):
        page = AppTest.from_string(PAGE, default_timeout=60)
        for name, text in parameters.items():
            page.query_params[name] = text
        return page.run()

    return opened


def figures(page):
    return [json.loads(chart.proto.spec) for chart in page.get("plotly_chart")]


def test_without_runs_the_page_tells_what_to_do(compared, stored):
    stored()
    page = compared()
    assert not page.exception
    assert "Select runs" in page.info[0].value


def test_two_runs_are_drawn_on_the_axes_of_the_link(compared, stored):
    ids = [stored(title="before"), stored(title="after")]
    page = compared(runs=",".join(ids), x="batch", y="speedup")
    assert not page.exception
    [figure] = figures(page)
    assert figure["layout"]["xaxis"]["title"]["text"] == "Batch [1]"
    assert figure["layout"]["yaxis"]["title"]["text"] == "Speedup [1]"
    names = [trace["name"] for trace in figure["data"]]
    assert [name for name in names if name.startswith("jit · before")]
    assert [name for name in names if name.startswith("jit · after")]
    assert figure["data"][0]["error_y"]["array"] == pytest.approx([0.25, 0.25])


def test_runs_of_several_hosts_are_named_with_theirs(compared, stored):
    desk, box = stored(host="desk"), stored(host="gpu-box")
    page = compared(runs=f"{desk},{box}")
    names = {trace["name"] for trace in figures(page)[0]["data"]}
    assert {f"jit · JIT @ desk {desk[:6]}", f"jit · JIT @ gpu-box {box[:6]}"} < names


def test_the_url_names_runs_and_axes_in_full(compared, stored):
    run_id = stored()
    page = compared(runs=run_id)
    assert page.query_params == {"runs": run_id, "x": "batch", "y": "latency_ms"}
    assert f"runs={run_id}&x=batch&y=latency_ms" in page.code[0].value


def test_choosing_another_axis_changes_figure_and_url(compared, stored):
    page = compared(runs=stored())
    page.selectbox(key="compare:y").set_value("speedup").run()
    assert page.query_params["y"] == "speedup"
    assert figures(page)[0]["layout"]["yaxis"]["title"]["text"] == "Speedup [1]"


def test_an_axis_that_the_runs_do_not_have_falls_back(compared, stored):
    page = compared(runs=stored(), x="accuracy", y="<script>")
    assert not page.exception
    assert page.query_params["x"] == "batch"
    assert page.query_params["y"] == "latency_ms"


def test_unlike_machines_are_drawn_apart_on_the_same_axes_and_labelled(compared, stored):
    here, there = stored(), stored(fingerprint="fedcba9876543210", environment={"cpu": "another processor"})
    page = compared(runs=f"{here},{there}")
    one, other = figures(page)
    assert one["layout"]["yaxis"]["range"] == other["layout"]["yaxis"]["range"] != None  # noqa: E711
    said = [text.value for text in page.markdown]
    assert any("a processor of this test · 0123456789abcdef" in text for text in said)
    assert any("another processor · fedcba9876543210" in text for text in said)


def test_what_differs_is_shown_and_what_does_not_is_folded_away(compared, stored):
    same = {"cpu": "one", "python": "3.11"}
    runs = [stored(environment=same), stored(environment={**same, "python": "3.12"})]
    page = compared(runs=",".join(runs))
    [unlike] = [table.value for table in page.dataframe if "python" in table.value.index]
    assert list(unlike.index) == ["python"]
    assert unlike.iloc[0].tolist() == ["3.11", "3.12"]


def test_the_ratio_of_two_runs_is_shown_as_the_weaker_thing_that_it_is(compared, stored):
    page = compared(runs=f"{stored()},{stored()}")
    table = page.dataframe[-1].value
    assert table["ratio"].tolist() == pytest.approx([1.0] * 4)
    assert set(table["verdict"]) == {"inconclusive"}
    [basis] = [info.value for info in page.info if "Unpaired" in info.value]
    assert "a default, because neither spec has 3 finished runs on its machine" in basis
    assert not page.warning


def test_the_ratio_of_two_runs_says_how_many_repeats_it_stands_on(compared, stored):
    ids = [stored() for _ in range(4)]
    page = compared(runs=",".join(ids[:2]))
    [basis] = [info.value for info in page.info if "Unpaired" in info.value]
    assert "estimated from 4 runs of one spec" in basis


def test_the_ratio_of_two_runs_names_the_one_that_had_a_busy_neighbor(compared, stored):
    alone, beside = stored(), stored(environment={"other_processes_cpu": 0.5})
    page = compared(runs=f"{alone},{beside}")
    [warning] = page.warning
    assert warning.value.startswith(f"JIT {beside[:6]}: Other processes used 50%")


def test_one_run_alone_has_no_ratio_and_no_differences(compared, stored):
    page = compared(runs=stored())
    assert not page.subheader


@pytest.mark.parametrize("text", ["nothing", "a,b,c", "<b>,';--,../..", ",,,", ",".join(map(str, range(500)))])
def test_nonsense_for_runs_is_one_line_and_the_page_lives(compared, stored, text):
    stored()
    page = compared(runs=text)
    assert not page.exception
    assert len(page.error) == (0 if text == ",,," else 1 if len(text) < 50 else 2)
    assert page.info


def test_a_deleted_run_is_named_and_the_others_are_shown(compared, stored, db):
    kept, deleted = stored(), stored()
    assert store.delete_run(db, deleted)
    page = compared(runs=f"{deleted},{kept}")
    assert deleted in page.error[0].value
    assert len(figures(page)) == 1


def test_runs_without_rows_have_nothing_to_draw_and_say_so(compared, stored):
    page = compared(runs=stored(batches=()))
    assert not page.exception
    assert "share no numeric column" in page.warning[0].value


def test_an_axis_has_room_for_every_interval(compared, stored):
    [figure] = figures(compared(runs=stored(batches=(16,)), x="variant", y="speedup"))
    low, high = figure["layout"]["yaxis"]["range"]
    assert low < 3.5
    assert high > 4.25


def test_a_logarithmic_axis_is_the_same_for_unlike_machines_too(compared, stored):
    here, there = stored(), stored(fingerprint="fedcba9876543210", batches=(16, 4096))
    one, other = figures(compared(runs=f"{here},{there}", x="batch", y="ops"))
    for axis in ("xaxis", "yaxis"):
        assert one["layout"][axis]["type"] == other["layout"][axis]["type"] == "log"
        low, high = one["layout"][axis]["range"]
        assert other["layout"][axis]["range"] == [low, high]
        assert high - low < 6  # decades, not values


def test_of_many_runs_each_technique_is_one_trace_with_gaps_and_hovering_names_the_run(compared, stored):
    ids = [stored() for _ in range(7)]
    page = compared(runs=",".join(ids))
    traces = figures(page)[0]["data"]
    assert any("Color: technique; hover over a mark for its run." in caption.value for caption in page.caption)
    assert [trace["name"] for trace in traces] == ["eager", "jit"]
    for trace in traces:
        assert trace["showlegend"]
        assert trace["x"] == [16, 64, None] * 6 + [16, 64]
        assert len(trace["error_y"]["array"]) == len(trace["x"])
        assert [name for name in trace["text"] if name][-1] == f"{trace['name']} · JIT {ids[-1][:6]}"
        assert "%{text}" in trace["hovertemplate"]


def test_values_that_no_axis_can_show_are_left_out_of_the_figure(compared, stored, db):
    run_id = stored(batches=(16, 64))
    with db.begin() as connection:
        table = schema.rows
        odd = connection.execute(select(table.c.record).where(table.c.number == 1)).scalar() | {"speedup": math.inf}
        connection.execute(update(table).where(table.c.number == 1).values(record=odd))
    [figure] = figures(compared(runs=run_id, x="batch", y="speedup"))
    assert all(math.isfinite(edge) for edge in figure["layout"]["yaxis"]["range"])
    assert sum(len(trace["x"]) for trace in figure["data"]) == 1


def test_verdicts_are_shown_as_inconclusive_and_downloaded_as_stored(compared, stored, monkeypatch):
    files = {}
    monkeypatch.setattr("streamlit.download_button", lambda label, make, name, *_, **__: files.update({name: make}))
    same = {"speedup": 1.0, "speedup_lo": 0.9, "speedup_hi": 1.1, "verdict": "cannot tell"}
    ids = [stored(rows=[record("eager", 16), record("jit", 16, **same)]) for _ in range(2)]
    page = compared(runs=",".join(ids), x="verdict", y="latency_ms")
    assert {x for trace in figures(page)[0]["data"] for x in trace["x"]} == {"baseline", "inconclusive"}
    [ratios] = [one.value for one in page.dataframe if "ratio" in one.value]
    assert set(ratios["verdict"]) == {"inconclusive"}
    assert "cannot tell" in files["comparison.csv"]()
    assert "inconclusive" in files["comparison.html"]()
    assert "cannot tell" not in files["comparison.html"]().split("<h2>Rows</h2>")[1].split("<h2>")[0]
