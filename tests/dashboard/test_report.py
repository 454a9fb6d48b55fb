"""Reports: one HTML file with everything in it, and nothing in it that runs but plotly."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import pandas as pd

from dashboard import report
from dashboard.figures import Table
from dashboard.figures import jit as figures
from experiments.compiler.jit import jit
from experiments.runs import comparison, store
from tests.dashboard.run_records import first_calls, record, records, rows_frame, timeline_frame

EVIL = "<script>alert(1)</script>"


class Parsed(HTMLParser):
    """The text of the page and every address that a tag names."""

    def __init__(self, text):
        super().__init__()
        self.addresses, self.text, self.scripts = [], "", 0
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.scripts += tag == "script"
        self.addresses += [value for name, value in attrs if name in ("src", "href", "data", "action")]

    def handle_data(self, data):
        self.text += data if self.scripts == 0 or len(data) < 5000 else ""


def run_report(db, stored, **changes):
    run = store.get_run(db, stored(**changes))
    rows = rows_frame(records(16, 64))
    panels = figures.panels(rows, {"timeline": timeline_frame(first_calls(16))})
    return report.of_run(jit, run, rows, panels), run


def test_a_report_has_answer_figures_rows_machine_and_method(db, stored):
    text, run = run_report(db, stored)
    page = Parsed(text)
    assert run["id"] in page.text
    assert jit.answer(rows_frame(records(16, 64))) in page.text
    for panel in ("Latency", "Speedup against work per call"):
        assert panel in page.text
    assert "a processor of this test" in page.text
    assert "Not measured" in page.text
    assert text.count("plotly-graph-div") == 2


def test_a_report_has_what_bears_on_the_answer(db, stored):
    text, _ = run_report(db, stored, environment={"variables_set_aside": "PROFILE"})
    assert "did not reach the run, because it would not measure what its spec says: PROFILE." in Parsed(text).text


def test_a_report_names_no_address_outside_itself(db, stored):
    text, _ = run_report(db, stored)
    assert Parsed(text).addresses == []
    assert "default-src 'none'" in text
    assert text.count("Plotly.newPlot") >= 2
    assert len(re.findall(r"plotly\.js v\d", text)) == 1  # once for all figures


def test_a_report_has_the_code_below_a_figure_and_tables_with_whole_texts(db, stored):
    run, rows = store.get_run(db, stored()), rows_frame(records(16))
    words = "4 neighbours of axis 0 at once in registers; " * 9 + EVIL
    panel = replace(figures.panels(rows, {})[0], code=f"a < b {EVIL}")
    text = report.of_run(jit, run, rows, [Table("In words", pd.DataFrame({"done": [words]})), panel])
    assert EVIL not in text
    assert f"a < b {EVIL}" in Parsed(text).text
    assert words in Parsed(text).text
    assert len(re.findall(r"plotly\.js v\d", text)) == 1


def test_what_people_wrote_is_text_in_a_report(db, stored):
    text, _ = run_report(db, stored, note=EVIL, message=EVIL, environment={"cpu": EVIL})
    assert EVIL not in text
    assert EVIL in Parsed(text).text


def test_the_report_of_a_failed_run_shows_its_failure(db, stored):
    text, _ = run_report(db, stored, status="failed", message="no kernel fits")
    assert "failed: no kernel fits" in Parsed(text).text


def test_a_comparison_has_its_figure_and_what_differs(db, stored):
    runs = [store.get_run(db, stored(title=title)) for title in ("before", EVIL)]
    names = {run["id"]: run["title"] for run in runs}
    rows = comparison.rows_frame(db, runs)
    text = report.of_comparison(runs, names, rows, figures.panels(rows_frame(records(16)), {}))
    assert EVIL not in text
    assert "Machine and versions that are the same" in Parsed(text).text
    assert "How it was measured: JIT" in Parsed(text).text
    assert "different machines" not in Parsed(text).text
    assert Parsed(text).addresses == []


def test_a_report_shows_inconclusive_instead_of_the_stored_verdict(db, stored):
    rows = rows_frame([record("eager", 16), record("jit", 16, verdict="cannot tell")])
    text = report.of_run(jit, store.get_run(db, stored()), rows, [])
    assert "<td>inconclusive</td>" in text
    assert "<td>cannot tell</td>" not in text
