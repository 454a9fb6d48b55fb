"""The parts of a run's page that are functions of its frames."""

import hashlib
import io

import pandas as pd
import pytest
import streamlit as st
from sqlalchemy import event

from dashboard import results, run_state
from experiments.bench.columns import Column
from experiments.bench.rows import Row
from experiments.compiler.jit import jit
from experiments.registry import registered
from experiments.runs import bundle, frames, store
from tests.dashboard.run_records import BLOCKS, first_calls, record, timeline_frame


@pytest.fixture
def downloads(monkeypatch):
    """What the page gives its download buttons: the callable that makes each file, by the file's name."""
    given = {}
    monkeypatch.setattr(st, "download_button", lambda label, make, name, *_, **__: given.update({name: make}))
    return given


def test_grid_points_are_labelled_by_the_axes_that_they_have_in_the_order_in_which_they_came():
    details = {"timeline": timeline_frame(first_calls(64, 16))}
    assert results.grid_points(jit, details) == {"batch 64": {"batch": 64}, "batch 16": {"batch": 16}}


def test_grid_points_of_models_without_a_batch_are_labelled_by_size():
    calls = [{**one, "batch": None, "size": 512} for one in first_calls(1)]
    assert list(results.grid_points(jit, {"timeline": timeline_frame(calls)})) == ["size 512"]


def test_no_details_mean_no_choice_of_grid_points():
    assert results.grid_points(jit, {"timeline": timeline_frame([])}) == {}
    assert results.grid_points(jit, {}) == {}


def test_the_summary_has_the_intervals_behind_their_medians():
    assert results.summary_columns(jit) == [
        *("batch", "size", "variant", "latency_ms", "latency_lo_ms", "latency_hi_ms"),
        *("speedup", "speedup_lo", "speedup_hi", "verdict", "break_even_calls", "kernels", "bound"),
    ]


def test_a_column_is_headed_by_its_label_or_else_by_its_name_and_unit():
    headed = (Column("mended", "text", "…", label="with the fix"), Column("latency_lo_ms", "number", "…"))
    assert [results._column(one)["label"] for one in headed] == ["with the fix", "latency lo [ms]"]


def test_every_summary_names_columns_that_its_rows_have():
    for one in registered().values():
        declared = {column.name for column in (*frames.IDENTITY, *one.columns)}
        assert set(results.summary_columns(one)) <= declared


def test_every_state_of_a_run_has_its_own_icon():
    assert set(run_state.STATES) == {store.QUEUED, store.RUNNING, *store.ENDED}
    assert len({icon for _, icon in run_state.STATES.values()}) == len(run_state.STATES)


def test_the_csv_of_rows_is_the_table_with_all_columns(jit_page, stored, downloads):
    run_id = stored()
    jit_page(run=run_id)
    parsed = pd.read_csv(io.StringIO(downloads[f"jit-{run_id}-rows.csv"]()))
    assert list(parsed) == [column.name for column in (*frames.IDENTITY, *jit.columns)]
    assert parsed[["run_id", "variant", "batch", "latency_ms"]].values.tolist() == [
        [run_id, "eager", 16, 4.0],
        [run_id, "jit", 16, 1.0],
        [run_id, "eager", 64, 4.0],
        [run_id, "jit", 64, 1.0],
    ]
    assert parsed["speedup"].isna().tolist() == [True, False, True, False]


def test_the_csv_of_samples_has_every_timing(jit_page, stored, downloads):
    run_id = stored(batches=(16,))
    jit_page(run=run_id)
    parsed = pd.read_csv(io.StringIO(downloads[f"jit-{run_id}-samples.csv"]()))
    assert parsed["seconds"].tolist() == [*BLOCKS, *BLOCKS]
    assert parsed["variant"].tolist() == ["eager"] * 3 + ["jit"] * 3


def test_the_csv_of_first_calls_has_all_grid_points(jit_page, stored, downloads):
    run_id = stored()
    jit_page(run=run_id)
    parsed = pd.read_csv(io.StringIO(downloads[f"jit-{run_id}-timeline.csv"]()))
    assert (len(parsed), parsed["batch"].unique().tolist()) == (12, [16, 64])


def test_a_run_without_details_offers_no_file_of_them(jit_page, stored, downloads):
    run_id = stored(batches=())
    jit_page(run=run_id)
    assert [name for name in downloads if name.endswith(".csv")] == [
        f"jit-{run_id}-{one}.csv" for one in ("rows", "samples")
    ]


def test_a_cell_that_a_spreadsheet_would_run_is_downloaded_as_text(jit_page, stored, db, downloads):
    run_id = stored(batches=(), status=store.RUNNING)
    batch = store.Batch()
    batch.rows = [Row(record("jit", 16, model="=1+1"))]
    store.write(db, run_id, "tester", batch, 0, 0)
    jit_page(run=run_id)
    assert pd.read_csv(io.StringIO(downloads[f"jit-{run_id}-rows.csv"]()))["model"].tolist() == ["'=1+1"]


def test_the_bundle_and_the_report_of_a_run_are_made_when_clicked(jit_page, stored, db, downloads):
    run_id = stored()
    jit_page(run=run_id)
    assert downloads[f"jit-{run_id}.zip"]() == bundle.export(db, run_id)
    text = downloads[f"jit-{run_id}.html"]()
    assert run_id in text
    assert text.count("plotly-graph-div") > 4  # of the whole run and of both grid points


@pytest.fixture
def filed(stored, db):
    """A run with two files."""
    run_id = stored(status=store.RUNNING)
    batch = store.Batch()
    files = {"model.bin": b"\x00" * 1234, "[x](b).c": b"int main;"}
    batch.artifacts = [(name, hashlib.sha256(content).hexdigest(), content) for name, content in files.items()]
    store.write(db, run_id, "tester", batch, 4, 1)
    store.finish(db, run_id, "tester", "done", "")
    return run_id


def test_the_files_of_a_run_are_offered_with_name_and_size(jit_page, filed):
    labels = [one.proto.label for one in jit_page(run=filed).get("download_button")]
    assert labels[5:] == [r"\[x\](b).c (9 bytes)", "model.bin (1,234 bytes)"]


def test_a_file_is_read_when_it_is_clicked_and_not_before(jit_page, filed, db, downloads):
    statements = []
    event.listen(db, "before_cursor_execute", lambda c, cur, said, *_: statements.append(said))
    jit_page(run=filed)
    assert not any("artifacts.content" in said for said in statements)
    assert downloads["model.bin"]() == b"\x00" * 1234
    assert downloads["[x](b).c"]() == b"int main;"
    assert any("artifacts.content" in said for said in statements)


def test_the_store_names_the_files_of_a_run_and_reads_one(db, filed, stored):
    assert store.artifact_names(db, filed) == {"[x](b).c": 9, "model.bin": 1234}
    assert store.artifact_names(db, stored()) == {}
    assert store.read_artifact(db, filed, "model.bin") == b"\x00" * 1234
    with pytest.raises(KeyError):
        store.read_artifact(db, filed, "no such file")


def test_rows_that_an_experiment_cannot_read_are_still_shown_and_downloaded(jit_page, stored, db, downloads):
    run_id = stored(batches=(), status=store.RUNNING)
    batch = store.Batch()
    batch.rows = [Row({"variant": "jit", "batch": 16, "speedup": 2.0, "verdict": "faster"})]  # no interval
    store.write(db, run_id, "tester", batch, 0, 0)
    store.finish(db, run_id, "tester", "done", "")
    page = jit_page(run=run_id)
    assert not page.exception
    assert "cannot be shown (" in page.warning[0].value
    assert len(page.dataframe[0].value) == 1
    assert f"jit-{run_id}-rows.csv" in downloads


def test_a_verdict_is_shown_as_inconclusive_and_stored_as_before(jit_page, stored, downloads):
    undecided = record("jit", 16, speedup=1.0, speedup_lo=0.9, speedup_hi=1.1, verdict="cannot tell")
    run_id = stored(batches=(16,), rows=[record("eager", 16), undecided])
    page = jit_page(run=run_id)
    assert page.dataframe[0].value["verdict"].tolist() == ["baseline", "inconclusive"]
    csv = downloads[f"jit-{run_id}-rows.csv"]()
    assert "cannot tell" in csv
    assert "inconclusive" not in csv


@pytest.mark.parametrize(("harness", "notes"), [([None, 2], 1), ([2, 2], 0)])
def test_rows_of_version_1_of_the_harness_say_what_their_intervals_leave_out(monkeypatch, harness, notes):
    said = []
    monkeypatch.setattr(st, "caption", said.append)
    rows = pd.DataFrame({"latency_ms": [1.0, 1.0, None], "harness": pd.array([*harness, None], "Int64")})
    results.note_on_version_1(rows)
    assert [one.split(", whose")[0] for one in said] == ["1 row measured by version 1 of the harness"] * notes
