"""The page of an experiment, drawn by the real Streamlit without a browser."""

import json

import pytest

from experiments.bench.machine import devices
from experiments.bench.machine.toolchain import NO_COMPILER
from experiments.bench.rows import Row
from experiments.compiler.jit import jit
from experiments.runs import store
from tests.dashboard.made_runs import SPEC, record

ENDS = {
    "failed": "RuntimeError: no such kernel",
    "crashed": "signal SIGSEGV",
    "timeout": "stopped at its time limit of 900 s",
    "cancelled": "cancelled on the page",
    "lost": "its runner has not been heard for 30 s",
}


def field(page, name):
    """The widget of one field of the form."""
    kinds = (page.text_input, page.number_input, page.selectbox)
    return next(widget for kind in kinds for widget in kind if widget.key == f"jit:{name}")


def values(page):
    return {name: field(page, name).value for name in SPEC}


def errors(page):
    return [one.value for one in page.error]


def run_button(page):
    return page.button(key="run")


def drawn(page):
    return [json.loads(one.proto.spec) for one in page.get("plotly_chart")]


def marked_preset(page):
    return page.get("button_group")[0].value


# the form


def test_the_form_shows_the_defaults(jit_page):
    page = jit_page()
    shown = {name: str(value) for name, value in values(page).items()}
    assert shown == {name: str(getattr(jit.spec(), name)) for name in SPEC} | {
        "batch": "16,32,64,128",
        "size": "1000",
        "widths": "784,128,64,10",
    }
    assert not errors(page)
    assert not run_button(page).disabled


def test_the_page_opens_with_its_question_and_what_to_do(jit_page):
    page = jit_page()
    assert page.title[0].value == "JIT"
    assert jit.question in page.markdown[0].value
    assert "press Run" in page.info[0].value


def test_the_form_names_the_device_that_auto_means(jit_page):
    assert field(jit_page(), "device").options == ["auto (CPU)", "CPU"]


def test_a_link_fills_the_form(jit_page):
    page = jit_page(batch="16,32", model="tiny_layers", calls="7", half_width="0.1")
    assert {"batch": "16,32", "model": "tiny_layers", "calls": 7, "half_width": 0.1}.items() <= values(page).items()
    assert not errors(page)


def test_the_url_keeps_what_differs_from_the_defaults_alone(jit_page):
    page = jit_page(batch="16,32", calls="10")
    assert page.query_params == {"batch": "16,32"}


def test_a_change_in_the_form_is_written_to_the_url(jit_page):
    page = jit_page()
    field(page, "batch").set_value("8").run()
    field(page, "calls").set_value(5).run()
    assert page.query_params == {"batch": "8", "calls": "5"}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("batch", "../../etc", "batch: ../../etc is not allowed; give integers from 1 to 65536, at most 16 of them"),
        ("calls", "99999", "calls: 99999 is not allowed; give an integer from 3 to 200"),
        ("model", "evil", "model: evil is not allowed; give one of mlp3, elementwise"),
        ("device", "ABACUS", "device: 'ABACUS' is not allowed; give auto, CUDA"),
        ("half_width", "nan", "half_width: nan is not allowed; give a number from 0.001 to 0.5"),
        ("foo", "1", "foo: unknown field; the fields are device, model, batch"),
        ("batches", "1", "batches: unknown field, did you mean batch?"),
    ],
)
def test_a_bad_link_is_refused_in_one_line_and_nothing_is_queued(jit_page, db, name, text, message):
    page = jit_page(**{name: text})
    [said] = errors(page)
    assert said.replace("\\", "").startswith(f"in the link, {message}")
    assert "\n" not in said
    assert field(page, "batch").value == "16,32,64,128"
    assert page.query_params == {}
    assert store.count_runs(db) == 0


def test_each_problem_of_a_link_has_its_own_line_and_the_rest_of_it_is_used(jit_page):
    page = jit_page(batch="16,32", calls="99999", foo="1")
    assert len(errors(page)) == 2
    assert values(page)["batch"] == "16,32"
    assert page.query_params == {"batch": "16,32"}


def test_the_problem_of_a_link_is_gone_when_a_preset_is_chosen(jit_page):
    page = jit_page(foo="1")
    page.get("button_group")[0].set_value("quick").run()
    assert not errors(page)


def test_markdown_in_a_link_is_shown_as_text(jit_page):
    [said] = errors(jit_page(calls="[x](//evil) ![](//evil)"))
    assert r"\[x\](//evil) !\[\](//evil)" in said


def test_a_preset_fills_the_form_and_the_url_says_so(jit_page):
    page = jit_page()
    page.get("button_group")[0].set_value("quick").run()
    quick = jit.preset("quick")
    assert {name: values(page)[name] for name in ("batch", "widths")} == {"batch": "16,64", "widths": "64,32,16,10"}
    assert (values(page)["calls"], values(page)["budget_s"]) == (quick.calls, quick.budget_s)
    assert page.query_params == {
        "batch": "16,64",
        "widths": "64,32,16,10",
        "calls": "5",
        "budget_s": "0.5",
    }


def test_a_preset_keeps_the_chosen_device(jit_page):
    page = jit_page(device="CPU")
    page.get("button_group")[0].set_value("quick").run()
    assert values(page)["device"] == "CPU"


def test_the_preset_that_the_form_holds_is_marked(jit_page):
    assert marked_preset(jit_page()) == "exercise"  # the defaults
    assert marked_preset(jit_page(batch="3")) is None


def test_absurd_text_is_refused_and_disables_run(jit_page, db):
    page = jit_page()
    field(page, "batch").set_value("1e9").run()
    [said] = errors(page)
    assert said.startswith("batch: 1e9 is not allowed; give integers from 1 to 65536")
    assert run_button(page).disabled
    field(page, "batch").set_value("1").run()
    assert not errors(page)
    assert not run_button(page).disabled
    assert store.count_runs(db) == 0


# submitting


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


def test_without_a_c_compiler_the_page_says_the_command_that_mends_it(jit_page, db, monkeypatch):
    monkeypatch.setattr(devices, "probe", lambda device: devices.Probe(device, False, NO_COMPILER))
    devices.forget_probes()
    page = jit_page()
    run_button(page).click().run()
    [said] = errors(page)
    assert "pip install ziglang" in said
    assert store.count_runs(db) == 0


# a run


def test_a_stored_run_shows_its_answer_table_and_figures(jit_page, stored):
    run_id = stored()
    page = jit_page(run=run_id)
    assert any("4x faster (95 % 3.5 to 4.25) at batch 16" in one.value for one in page.markdown)
    table = page.dataframe[0].value
    assert table[["batch", "variant", "latency_ms"]].values.tolist() == [
        [16, "eager", 4.0],
        [16, "jit", 1.0],
        [64, "eager", 4.0],
        [64, "jit", 1.0],
    ]
    assert [len(figure["data"]) for figure in drawn(page)] == [2, 1, 4, 2]
    assert not errors(page)


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


def test_the_page_offers_rows_samples_and_first_calls_as_csv_and_the_run_as_bundle_and_report(jit_page, stored):
    buttons = [one.proto.label for one in jit_page(run=stored()).get("download_button")]
    assert buttons == ["CSV: rows", "CSV: samples", "CSV: timeline", "Bundle", "Report (HTML)"]


def test_a_run_that_has_not_ended_is_no_bundle_yet(jit_page, stored):
    buttons = [one.proto.label for one in jit_page(run=stored(status="running")).get("download_button")]
    assert "Bundle" not in buttons


def test_the_page_says_how_and_on_what_the_run_was_measured(jit_page, stored):
    page = jit_page(run=stored())
    told = [json.loads(one.value) for one in page.json]
    assert told == [SPEC, {"cpu": "a processor of this test"}]
    assert any("0123456789abcdef" in one.value for one in page.markdown)


@pytest.mark.parametrize("text", ["nonsense", "../../../etc/passwd", "' OR 1=1 --", "x" * 5000])
def test_a_link_to_no_run_says_one_clear_line(jit_page, stored, text):
    stored()
    page = jit_page(run=text)
    [said] = errors(page)
    assert said.startswith("run: there is no run")
    assert len(said) < 120
    assert field(page, "batch").value == "16,32,64,128"


def test_a_link_to_a_run_of_another_experiment_is_refused(jit_page, stored):
    [said] = errors(jit_page(run=stored(experiment="beam")))
    assert "of this experiment" in said


@pytest.mark.parametrize("status", ENDS)
def test_a_run_that_did_not_end_well_says_why_and_keeps_its_rows(jit_page, stored, status):
    page = jit_page(run=stored(batches=(16,), status=status, message=ENDS[status]))
    assert errors(page) == [f"{status.capitalize()}: {ENDS[status]}. The 2 rows measured before are kept."]
    assert len(page.dataframe[0].value) == 2


def test_a_run_that_failed_before_its_first_row_says_so(jit_page, stored):
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


def test_a_run_with_rows_beside_a_noisy_control_warns(jit_page, stored, db):
    assert not jit_page(run=stored()).warning
    run_id = stored(batches=(), status=store.RUNNING)
    batch = store.Batch()
    batch.rows = [Row(record("jit", 16, control_lo=1.2, control_hi=1.3))]
    store.write(db, run_id, "tester", batch, 0, 0)
    [warning] = jit_page(run=run_id).warning
    assert warning.value.startswith("1 rows are from grid points where the A/A control does not contain 1")


def test_a_run_of_an_older_version_with_a_spec_that_is_refused_today_is_still_shown(jit_page, stored):
    page = jit_page(run=stored(spec={"gone": 1}))
    assert len(page.dataframe[0].value) == 4
    assert values(page)["batch"] == "16,32,64,128"


# a run that goes on


def test_a_queued_run_waits_for_its_turn_and_can_be_cancelled(jit_page, stored, db):
    run_id = stored(status=store.QUEUED)
    page = jit_page(run=run_id)
    assert page.get("progress")[0].proto.text == "queued: waiting for earlier runs (0 rows so far)"
    page.button(key=f"cancel-{run_id}").click().run()
    assert store.get_run(db, run_id)["status"] == "cancelled"


def test_a_running_run_shows_its_progress_and_the_rows_so_far(jit_page, stored, db):
    run_id = stored(batches=(16,), status=store.RUNNING)
    batch = store.Batch()
    batch.changes = {"progress": 0.5, "message": "batch 64: measuring"}
    store.write(db, run_id, "tester", batch, 2, 1)
    page = jit_page(run=run_id)
    [bar] = page.get("progress")
    assert (bar.proto.value, bar.proto.text) == (50, "running: batch 64: measuring (2 rows so far)")
    assert len(page.dataframe[0].value) == 2
    assert not errors(page)


def test_cancel_asks_the_runner_to_stop_and_is_offered_once(jit_page, stored, db):
    run_id = stored(status=store.RUNNING)
    page = jit_page(run=run_id)
    page.button(key=f"cancel-{run_id}").click().run()
    assert store.get_run(db, run_id)["cancel"] is True
    page.run()
    assert any(one.value == "Cancelling…" for one in page.caption)
    assert not any(one.key == f"cancel-{run_id}" for one in page.button)


def test_an_ended_run_offers_no_cancel(jit_page, stored):
    page = jit_page(run=stored())
    assert not page.get("progress")
    assert [one.key for one in page.button if one.key.startswith("cancel")] == []
