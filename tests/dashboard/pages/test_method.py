"""The page that says how the numbers come about."""

import json
import re

import pytest
from streamlit.testing.v1 import AppTest

from dashboard.pages.method import TEXT
from experiments.bench.columns import COMMON, VERDICTS, label_of
from experiments.bench.machine.environment import host
from experiments.bench.rows import Row
from experiments.machine.control.experiment import control
from experiments.runs import store

PAGE = "from dashboard.pages import method\nmethod.show()\n"
WORDS = ("experiment", "spec", "variant", "row", "samples", "detail", "artifact", "run", "preset", "grid point")


@pytest.fixture
def page():
    return lambda: AppTest.from_string(PAGE, default_timeout=60).run()


@pytest.fixture
def controlled(db):
    """Writes a run of the control with some false alarms among its comparisons."""

    def add(alarms=2, total=40, status="done", where=None, created=1_700_000_000.0, device="CPU"):
        same = {"experiment": "control", "spec": {}, "device": device, "time_limit_s": 1.0}
        run_id = store.add_run(db, **same, host=where or host(), created=created, environment={"cpu": "test"})
        store.claim(db, run_id, "tester")
        batch = store.Batch()
        batch.rows = [
            Row(
                {
                    "variant": "second",
                    "comparison": number,
                    "speedup": 1.0,
                    "speedup_lo": 0.9,
                    "speedup_hi": 1.1,
                    "verdict": "faster" if number <= alarms else "cannot tell",
                }
            )
            for number in range(1, total + 1)
        ]
        store.write(db, run_id, "tester", batch, 0, 0)
        store.finish(db, run_id, "tester", status, "")
        return run_id

    return add


def said(page):
    return "\n".join(one.value for one in page.markdown)


def button(page, label):
    return next(one for one in page.button if one.label == label)


def explained(word):
    """The line of one of the tables of the text that explains this word."""
    lines = [line for line in TEXT.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    return [line for line in lines if word in re.split(r", |`, `", line.split("|")[1].strip().strip("`"))]


@pytest.mark.parametrize("word", [*WORDS, *map(label_of, VERDICTS)])
def test_every_word_and_every_verdict_is_explained_once(word):
    [line] = explained(word)
    assert len(line.split("|")[2].strip()) > 20


def test_the_page_shows_the_text_and_asks_its_question(page):
    drawn = page()
    assert drawn.title[0].value == "Method"
    assert "what does `inconclusive` mean?" in drawn.markdown[0].value
    assert TEXT.read_text(encoding="utf-8").strip() in said(drawn)


def test_the_text_explains_inconclusive_and_the_control():
    text = TEXT.read_text(encoding="utf-8")
    assert "the interval contains 1" in text
    assert 'It is not "equal"' in text
    assert "### Why there is a control" in text


def test_all_common_columns_are_listed_with_unit_and_meaning(page):
    table = page().dataframe[0].value
    assert table["column"].tolist() == list(COMMON)
    assert table.set_index("column")["unit"]["latency_ms"] == "ms"
    assert (table["meaning"].str.len() > 0).all()


def test_without_a_control_the_page_offers_to_measure_one(page, db):
    drawn = page()
    assert drawn.info[0].value.startswith("Not measured on this machine yet")
    assert not drawn.get("plotly_chart")
    button(drawn, "Measure the control").click().run()
    [run] = store.list_runs(db)
    assert (run["experiment"], run["status"], run["host"]) == ("control", store.QUEUED, host())
    assert run["spec"] == control.preset("standard").model_copy(update={"device": "CPU"}).model_dump(mode="json")


def test_a_measured_control_is_shown_with_its_answer_and_figure(page, controlled):
    controlled()
    drawn = page()
    assert "On CPU, 2 of 40 comparisons of a call with itself report a difference: 5.0% false alarms" in said(drawn)
    [chart] = drawn.get("plotly_chart")
    names = [one["name"] for one in json.loads(chart.proto.spec)["data"]]
    assert names == ["inconclusive (38)", "false alarm (2)"]
    assert not drawn.info
    assert button(drawn, "Measure it again")


def test_the_latest_control_of_this_machine_counts(page, controlled):
    controlled(alarms=4, created=1_700_000_100.0)
    controlled(alarms=1)
    controlled(alarms=9, where="another machine", created=1_700_000_200.0)
    controlled(alarms=8, status="failed", created=1_700_000_200.0)
    assert "4 of 40 comparisons" in said(page())


def test_markup_in_a_stored_control_is_shown_as_text(page, controlled):
    controlled(device="[x](//evil)")
    assert r"On \[x\](//evil), 2 of 40" in said(page())
