"""The live view of a run."""

from experiments.runs import store
from tests.dashboard.jit_form import errors


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
    assert "Bundle" not in [one.proto.label for one in page.get("download_button")]


def test_cancel_asks_the_runner_to_stop_and_is_offered_once(jit_page, stored, db):
    run_id = stored(status=store.RUNNING)
    page = jit_page(run=run_id)
    page.button(key=f"cancel-{run_id}").click().run()
    assert store.get_run(db, run_id)["cancel"] is True
    page.run()
    assert any(one.value == "Cancelling…" for one in page.caption)
    assert not any(one.key == f"cancel-{run_id}" for one in page.button)
