"""Where there are no runs of one's own, examples are offered, named as such, and go away with one click."""

import time

from experiments.bench.rows import Row
from experiments.runs import examples, store
from tests.dashboard import made_studies

LOAD, REMOVE = "Show example results", "Remove the example results"


def add_study(db, host):
    """A study that was done on `host`, with the rows of a made one."""
    frame = made_studies.rows(6)
    values = {"experiment": "tradeoffs", "spec": {}, "device": "CPU", "host": host, "time_limit_s": 9.0}
    running = {"status": store.RUNNING, "runner": "tester", "started": time.time(), "heartbeat": time.time()}
    run_id = store.add_run(db, **values, **running)
    batch = store.Batch()
    own = [name for name in frame if name not in ("run_id", "experiment", "device")]
    records = frame[own].astype(object).where(frame[own].notna(), None).to_dict("records")
    batch.rows = [Row(one) for one in records]
    store.write(db, run_id, "tester", batch, 0, 0)
    store.finish(db, run_id, "tester", "done", "")
    return run_id


def press(page, label):
    return next(one for one in page.button if one.label.startswith(label)).click().run()


def test_the_overview_offers_examples_and_takes_them_away_again(overview, db):
    page = press(overview(), LOAD)
    assert not page.exception
    assert store.count_runs(db) == len(examples.bundled())
    assert any(one.label.startswith("Example results, measured on other machines") for one in page.expander)
    press(page, REMOVE)
    assert store.count_runs(db) == 0


def studies(page):
    """The titles of the trade-off figures that the overview opens with."""
    said = [one.value for one in page.markdown] + [one.proto.label for one in page.get("page_link")]
    return [text for text in said if text.startswith(("**Example: ", "**This machine"))]


def test_without_a_study_the_overview_shows_the_examples_of_a_cpu_and_a_gpu_and_imports_nothing(overview, db):
    page = overview()
    assert not page.exception
    assert [title.split(" · ")[-2] for title in studies(page)] == ["CPU", "CUDA"]
    assert len(page.get("plotly_chart")) == 2
    assert store.count_runs(db) == 0


def test_a_study_of_this_machine_stands_beside_the_gpu_s(overview, db, monkeypatch):
    here = add_study(db, host="here")
    monkeypatch.setattr("dashboard.figures.tradeoffs.overview_section.host", lambda: "here")
    first, second = studies(overview())[::-1]
    assert first.startswith("**This machine** · CPU")
    assert second.startswith("**Example: NVIDIA")
    assert store.get_run(db, here)["host"] == "here"


def test_comparing_them_brings_the_examples_and_opens_the_comparison(overview, db):
    page = press(overview(), "Compare them")
    assert not page.exception
    assert page.title[0].value == "Compare"
    assert set(page.query_params["runs"].split(",")) == {run["id"] for run in store.list_runs(db)}
    assert {run["imported"] for run in store.list_runs(db)} == {True}


def test_the_page_of_an_experiment_opens_its_example(db):
    from streamlit.testing.v1 import AppTest

    page = AppTest.from_string(
        "from dashboard.pages import experiment\nexperiment.show('record')\n", default_timeout=60
    )
    page = press(page.run(), "Example: ")
    assert not page.exception
    assert page.query_params["run"] in [one.run_id for one in examples.bundled("record")]
    assert any("median of 3 seeds" in text.value for text in page.markdown)
