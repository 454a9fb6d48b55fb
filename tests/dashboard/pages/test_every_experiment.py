"""The one template, for every experiment that is registered."""

import json

import pytest
from streamlit.testing.v1 import AppTest

from experiments.bench.rows import Row
from experiments.bench.spec import fields
from experiments.registry import registered
from experiments.runs import store

EXPERIMENTS = list(registered().values())


def opened(name, **parameters):
    page = AppTest.from_string(
        f"from dashboard.pages import experiment\nexperiment.show({name!r})\n", default_timeout=60
    )
    for key, value in parameters.items():
        page.query_params[key] = value
    return page.run()


def made_row(one):
    """One row with a value in every column, as its kind wants it."""
    samples = {"text": "faster", "integer": 3, "number": 1.5, "boolean": True}
    named = {"variant": "float32", "scheme": "float32", "bits": "8", "verdict": "faster", "layer": "layers.0"}
    return Row({"variant": "float32", **{c.name: named.get(c.name, samples[c.kind]) for c in one.columns}})


@pytest.mark.parametrize("one", EXPERIMENTS, ids=lambda one: one.name)
def test_its_page_opens_with_title_question_form_and_method(one, db):
    page = opened(one.name)
    assert not page.exception
    assert [title.value for title in page.title] == [one.title]
    assert any(one.question.split("?")[0][:20] in text.value for text in page.markdown)
    drawn = {widget.key for kind in ("text_input", "number_input", "selectbox", "toggle") for widget in page.get(kind)}
    assert {f"{one.name}:{name}:1" for name in fields(one.spec)} <= drawn  # filled once
    assert store.count_runs(db) == 0


@pytest.mark.parametrize("one", EXPERIMENTS, ids=lambda one: one.name)
def test_its_page_shows_a_stored_run_without_an_exception(one, db):
    spec = one.preset("quick").model_dump(mode="json") | {"device": "CPU"}
    run_id = store.add_run(db, experiment=one.name, spec=spec, device="CPU", host="here", time_limit_s=9.0)
    assert store.claim(db, run_id, "somebody")
    batch = store.Batch()
    batch.rows = [made_row(one)]
    store.write(db, run_id, "somebody", batch, 0, 0)
    store.finish(db, run_id, "somebody", "done", "done")
    page = opened(one.name, run=run_id)
    assert not page.exception
    assert not page.error
    assert any(len(table.value) == 1 for table in page.dataframe)
    for chart in page.get("plotly_chart"):
        assert json.loads(chart.proto.spec)["layout"]["xaxis"]["title"]["text"]
