"""The Overview: the first run, examples, trade-off studies, the latest runs."""

import time

import pytest

from experiments.bench.machine import devices
from experiments.bench.machine.toolchain import NO_COMPILER
from experiments.bench.rows import Row
from experiments.registry import registered
from experiments.runs import examples, store
from tests.dashboard import study_records

OFFER = "Run the quick JIT preset"
LOAD, REMOVE = "Show example results", "Remove the example results"


def add_study(db, host):
    """A study that was done on `host`, with the rows of a made one."""
    frame = study_records.rows(6)
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


@pytest.mark.slow
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


@pytest.mark.slow
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


def offer(page):
    return next(one for one in page.button if one.label == OFFER)


def links(page):
    return [one.proto.label for one in page.get("page_link")]


def captions(page):
    return [one.value for one in page.caption]


def test_without_runs_the_overview_shows_a_hint_and_offers_the_quick_preset(overview):
    page = overview()
    assert page.title[0].value == "tinygrad lab"
    assert page.info[0].value.startswith("No runs of your own yet.")
    assert not offer(page).disabled
    assert not page.error


def test_the_offered_preset_is_queued_and_its_page_is_opened(overview, db):
    page = overview()
    offer(page).click().run()
    [run] = store.list_runs(db)
    assert (run["experiment"], run["status"], run["spec"]["batch"]) == ("jit", store.QUEUED, [16, 64])
    assert page.title[0].value == "JIT"
    assert page.query_params == {"run": run["id"]}


def test_every_experiment_is_linked_with_its_question(overview):
    page = overview()
    titles = [f"**{one.title}**" for one in registered().values()]
    assert [one for one in links(page) if one in titles] == titles
    assert {one.question for one in registered().values()} <= set(captions(page))


def test_runs_are_listed_with_their_answers_or_ends(overview, stored):
    stored()
    stored(status="failed", message="no such device")
    stored(status=store.QUEUED)
    page = overview()
    assert not page.info
    assert "**JIT** · CPU · done" in "\n".join(links(page))
    assert "**JIT** · CPU · failed" in "\n".join(links(page))
    assert "**JIT** · CPU · queued" in "\n".join(links(page))
    assert any("4x faster" in one for one in captions(page))
    assert "no such device" in captions(page)


def test_a_run_of_an_experiment_that_is_gone_takes_nothing_along(overview, stored):
    stored(experiment="gone")
    page = overview()
    assert not page.exception
    assert offer(page)


def test_without_a_c_compiler_the_overview_shows_the_command_that_fixes_it(overview, monkeypatch):
    monkeypatch.setattr(devices, "probe", lambda device: devices.Probe(device, False, NO_COMPILER))
    devices.forget_probes()
    [line] = [one.value for one in overview().error]
    assert "pip install ziglang" in line
