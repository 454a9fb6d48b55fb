"""The page of an experiment, drawn by Streamlit without a browser."""

import json

import pytest

from experiments.bench.machine import devices
from experiments.bench.machine.toolchain import NO_COMPILER
from experiments.bench.rows import Row
from experiments.compiler.jit import jit
from experiments.runs import store
from tests.dashboard.jit_form import drawn, errors, field, run_button, values
from tests.dashboard.run_records import SPEC, record

ENDS = {
    "failed": "RuntimeError: no such kernel",
    "crashed": "signal SIGSEGV",
    "timeout": "stopped at its time limit of 900 s",
    "cancelled": "cancelled on the page",
    "lost": "its runner has not been heard for 30 s",
}


def test_the_page_opens_with_its_question_and_what_to_do(jit_page):
    page = jit_page()
    assert page.title[0].value == "JIT"
    assert jit.question in page.markdown[0].value
    assert "press Run" in page.info[0].value


def test_run_queues_exactly_what_the_form_holds_and_shows_it(jit_page, db):
    page = jit_page(batch="8", calls="4")
    run_button(page).click().run()
    [run] = store.list_runs(db)
    assert run["spec"] == {**jit.spec().model_dump(mode="json"), "batch": [8], "calls": 4, "device": "CPU"}
    assert run["status"] == store.QUEUED
    assert run["time_limit_s"] == 900
    assert page.query_params == {"run": run["id"]}
    assert not errors(page)


def test_the_time_limit_of_the_form_goes_with_the_run(jit_page, db):
    page = jit_page()
    page.number_input(key="jit:time-limit").set_value(30).run()
    run_button(page).click().run()
    assert store.list_runs(db)[0]["time_limit_s"] == 30


def test_what_needs_more_memory_than_there_is_is_refused_in_one_line(jit_page, db, monkeypatch):
    monkeypatch.setattr(devices, "free_memory", lambda device: 1_000_000)
    page = jit_page(batch="65536")
    run_button(page).click().run()
    [said] = errors(page)
    assert said.startswith("too large: a network 784,128,64,10 at batch 65536 needs 0.8 GB; CPU has 0.0 GB free")
    assert store.count_runs(db) == 0


def test_without_a_c_compiler_the_page_shows_the_command_that_fixes_it(jit_page, db, monkeypatch):
    monkeypatch.setattr(devices, "probe", lambda device: devices.Probe(device, False, NO_COMPILER))
    devices.forget_probes()
    page = jit_page()
    run_button(page).click().run()
    [said] = errors(page)
    assert "pip install ziglang" in said
    assert store.count_runs(db) == 0


def test_a_stored_run_shows_answer_table_figures_downloads_and_method(jit_page, stored):
    run_id = stored()
    page = jit_page(run=run_id)
    assert any("4x faster (95% CI 3.5 to 4.25) at batch 16" in one.value for one in page.markdown)
    table = page.dataframe[0].value
    assert table[["batch", "variant", "latency_ms"]].values.tolist() == [
        [16, "eager", 4.0],
        [16, "jit", 1.0],
        [64, "eager", 4.0],
        [64, "jit", 1.0],
    ]
    assert [len(figure["data"]) for figure in drawn(page)] == [2, 1, 4, 2]
    assert not errors(page)
    labels = [one.proto.label for one in page.get("download_button")]
    assert labels == ["CSV: rows", "CSV: samples", "CSV: timeline", "Bundle", "Report (HTML)"]
    assert [json.loads(one.value) for one in page.json] == [SPEC, {"cpu": "a processor of this test"}]
    assert any("0123456789abcdef" in one.value for one in page.markdown)
    assert not page.get("progress")
    assert [one.key for one in page.button if one.key.startswith("cancel")] == []


def test_a_permalink_fills_the_form_with_the_spec_of_its_run(jit_page, stored):
    page = jit_page(run=stored(spec={**SPEC, "batch": [7]}))
    assert values(page)["batch"] == "7"
    assert values(page)["device"] == "CPU"
    assert list(page.query_params) == ["run"]


def test_the_table_hides_empty_columns_until_all_are_asked_for(jit_page, stored):
    page = jit_page(run=stored())
    assert "size" not in page.dataframe[0].value
    page.toggle[0].set_value(True).run()
    assert {"size", "control_lo", "run_id"} <= set(page.dataframe[0].value)


def test_another_grid_point_shows_its_own_first_calls(jit_page, stored):
    run_id = stored()
    page = jit_page(run=run_id)
    point = next(one for one in page.get("button_group") if one.key == f"{run_id}-point")
    assert point.options == ["batch 16", "batch 64"]
    assert drawn(page)[2]["data"][0]["y"] == [30.0, 5.0, 5.0]
    point.set_value("batch 64").run()
    assert drawn(page)[2]["data"][0]["y"] == [120.0, 20.0, 20.0]


@pytest.mark.parametrize("text", ["nonsense", "../../../etc/passwd", "' OR 1=1 --", "x" * 5000])
def test_a_link_to_no_run_shows_one_clear_line(jit_page, stored, text):
    stored()
    page = jit_page(run=text)
    [said] = errors(page)
    assert said.startswith("run: this database has no run")
    assert len(said) < 120
    assert field(page, "batch").value == "16,32,64,128"


def test_a_link_to_a_run_of_another_experiment_is_refused(jit_page, stored):
    [said] = errors(jit_page(run=stored(experiment="beam")))
    assert "of this experiment" in said


@pytest.mark.parametrize("status", ENDS)
def test_a_run_that_did_not_end_as_done_shows_its_reason_and_keeps_its_rows(jit_page, stored, status):
    page = jit_page(run=stored(batches=(16,), status=status, message=ENDS[status]))
    assert errors(page) == [f"{status.capitalize()}: {ENDS[status]}. 2 rows had been measured before; see below."]
    assert len(page.dataframe[0].value) == 2
    texts = [str(getattr(one, "value", "")) for one in page.main]
    [reason] = [place for place, text in enumerate(texts) if text == errors(page)[0]]
    [answered] = [place for place, text in enumerate(texts) if text.startswith("#### On CPU, the JIT makes")]
    assert reason < answered


def test_a_run_that_failed_before_its_first_row_shows_that_it_has_none(jit_page, stored):
    page = jit_page(run=stored(batches=(), status="failed", message="no such device."))
    assert errors(page) == ["Failed: no such device. No rows were measured."]
    assert not page.dataframe
    assert not drawn(page)


def test_the_traceback_of_a_failed_run_is_one_click_away(jit_page, stored):
    page = jit_page(run=stored(status="failed", message="boom", traceback="Traceback: in the kernel"))
    details = next(one for one in page.expander if one.label == "Details")
    assert details.code[0].value == "Traceback: in the kernel"
    assert not details.proto.expanded


def test_markup_in_a_message_is_shown_as_text(jit_page, stored):
    message = "<script>alert(1)</script> [a](//evil) ![](//evil) **b** $x$\n# title"
    page = jit_page(run=stored(status="failed", message=message))
    [said] = errors(page)
    assert r"\<script\>alert(1)\</script\> \[a\](//evil) !\[\](//evil) \*\*b\*\* \$x\$ \# title" in said
    assert not any(one.proto.allow_html for one in page.markdown)


def test_a_run_beside_a_busy_neighbor_warns(jit_page, stored):
    page = jit_page(run=stored(environment={"cpu": "a processor", "other_processes_cpu": 0.34}))
    [told] = [one.value for one in page.warning]
    assert told.startswith("Other processes used 34% of this machine")


def test_a_run_tells_which_variables_did_not_reach_it(jit_page, stored):
    page = jit_page(run=stored(environment={"cpu": "a processor", "variables_set_aside": "BEAM PROFILE"}))
    [told] = [one.value for one in page.info if "did not reach the run" in one.value]
    assert "BEAM, PROFILE" in told
    page = jit_page(run=stored())
    assert not [one.value for one in page.info if "did not reach the run" in one.value]


def test_a_run_with_rows_beside_a_noisy_control_warns(jit_page, stored, db):
    assert not jit_page(run=stored()).warning
    run_id = stored(batches=(), status=store.RUNNING)
    batch = store.Batch()
    batch.rows = [Row(record("jit", 16, control_lo=1.2, control_hi=1.3))]
    store.write(db, run_id, "tester", batch, 0, 0)
    [warning] = jit_page(run=run_id).warning
    assert warning.value.startswith("At 1 of 1 grid points the A/A control does not contain 1; by chance")


def test_a_run_of_an_older_version_with_a_spec_that_is_refused_today_is_still_shown(jit_page, stored):
    page = jit_page(run=stored(spec={"gone": 1}))
    assert len(page.dataframe[0].value) == 4
    assert values(page)["batch"] == "16,32,64,128"
