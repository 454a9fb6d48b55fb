"""The store keeps what it was given, finds it again, and loses nothing under several writers."""

import hashlib
import subprocess
import sys
import time
from typing import Any

import pytest
from sqlalchemy import Engine, event, func, insert, select, text

from experiments.bench.rows import Row, Sample
from experiments.runs import schema, store
from tests.experiments.runs.lab_tools import open_at_once, plain_run


def claimed(db: Engine, runner: str = "one") -> str:
    run_id = plain_run(db)
    assert store.claim(db, run_id, runner)
    return run_id


def ended(db: Engine, **values: Any) -> str:
    return plain_run(db, status="done", **values)


def full_batch(content: bytes = b"weights") -> store.Batch:
    batch = store.Batch()
    batch.changes = {"progress": 0.5, "message": "half"}
    samples = [Sample("block", 4, [0.1, 0.2]), Sample("single", 1, [0.3])]
    batch.rows = [Row({"variant": "a", "number": 1, "x": None}, samples), Row({"variant": "b", "number": 2})]
    batch.details = [("log", [{"said": 'ü, "quoted"\n'}]), ("log", [{"said": "more"}, {"said": "=1+1"}])]
    batch.artifacts = [("model.bin", hashlib.sha256(content).hexdigest(), content)]
    return batch


def test_a_batch_comes_back_as_it_was_written(any_db: Engine) -> None:
    run_id = claimed(any_db)
    assert store.write(any_db, run_id, "one", full_batch(), 0, 0) == (True, False)
    assert store.read_rows(any_db, run_id) == [
        {"variant": "a", "number": 1, "x": None},
        {"variant": "b", "number": 2},
    ]
    samples = [(one["number"], one["kind"], one["inner"], one["seconds"]) for one in store.read_samples(any_db, run_id)]
    assert samples == [(0, "block", 4, [0.1, 0.2]), (0, "single", 1, [0.3])]
    log = [record["said"] for record in store.read_detail(any_db, run_id, "log")]
    assert log == ['ü, "quoted"\n', "more", "=1+1"]
    assert store.read_artifacts(any_db, run_id) == {"model.bin": b"weights"}
    run = store.get_run(any_db, run_id)
    assert run is not None
    assert (run["progress"], run["message"]) == (0.5, "half")


def test_rows_of_later_batches_follow_in_their_order(any_db: Engine) -> None:
    run_id = claimed(any_db)
    for number in range(12):
        batch = store.Batch()
        batch.rows = [Row({"number": number})]
        batch.details = [("log", [{"number": number}])]
        assert store.write(any_db, run_id, "one", batch, number, number) == (True, False)
    assert [row["number"] for row in store.read_rows(any_db, run_id)] == list(range(12))
    assert [record["number"] for record in store.read_detail(any_db, run_id, "log")] == list(range(12))


def test_an_artifact_with_a_wrong_hash_is_refused_with_its_whole_batch(any_db: Engine) -> None:
    run_id, batch = claimed(any_db), full_batch()
    batch.artifacts = [("model.bin", "0" * 64, b"something else")]
    with pytest.raises(ValueError, match=r"model\.bin"):
        store.write(any_db, run_id, "one", batch, 0, 0)
    assert store.read_rows(any_db, run_id) == []


def test_a_run_is_claimed_once(any_db: Engine) -> None:
    run_id = plain_run(any_db)
    assert [store.claim(any_db, run_id, runner) for runner in ("one", "two")] == [True, False]
    run = store.get_run(any_db, run_id)
    assert run is not None
    assert (run["status"], run["runner"]) == (store.RUNNING, "one")


def test_only_the_runner_that_has_a_run_writes_to_it(any_db: Engine) -> None:
    run_id = claimed(any_db, "one")
    assert store.write(any_db, run_id, "two", full_batch(), 0, 0) == (False, False)
    assert not store.finish(any_db, run_id, "two", "done", "done")
    assert store.read_rows(any_db, run_id) == []


def test_an_end_state_is_final(any_db: Engine) -> None:
    run_id = claimed(any_db)
    assert store.finish(any_db, run_id, "one", "failed", "it broke", "a traceback")
    assert not store.finish(any_db, run_id, "one", "done", "done")
    assert store.write(any_db, run_id, "one", full_batch(), 0, 0) == (False, False)
    assert not store.request_cancel(any_db, run_id)
    run = store.get_run(any_db, run_id)
    assert run is not None
    assert (run["status"], run["message"], run["traceback"]) == ("failed", "it broke", "a traceback")


def test_cancelling_ends_a_queued_run_and_asks_a_running_one(any_db: Engine) -> None:
    queued, running = plain_run(any_db), claimed(any_db)
    assert store.request_cancel(any_db, queued)
    assert store.request_cancel(any_db, running)
    assert not store.request_cancel(any_db, "no such run")
    run = store.get_run(any_db, queued)
    assert run is not None
    assert run["status"] == "cancelled"
    assert store.write(any_db, running, "one", store.Batch(), 0, 0) == (True, True)


def test_only_a_silent_runner_loses_its_run(any_db: Engine) -> None:
    silent, lively, waiting = claimed(any_db), claimed(any_db), plain_run(any_db)
    later = time.time() + store.LOST_AFTER_S + 1
    with any_db.begin() as connection:
        connection.execute(schema.runs.update().where(schema.runs.c.id == lively).values(heartbeat=later))
    assert store.reap(any_db) == 0
    assert store.reap(any_db, now=later) == 1
    states = {run["id"]: run["status"] for run in store.list_runs(any_db)}
    assert states == {silent: "lost", lively: store.RUNNING, waiting: store.QUEUED}


def test_the_queue_is_oldest_first_and_of_one_host(any_db: Engine) -> None:
    for created, host in ((3.0, "here"), (1.0, "here"), (2.0, "there")):
        plain_run(any_db, created=created, host=host)
    plain_run(any_db, created=0.5, host="here", status="done")
    assert [run["created"] for run in store.queued_runs(any_db, "here")] == [1.0, 3.0]


def test_runs_are_listed_newest_first_and_page_by_page(any_db: Engine) -> None:
    for created in range(10):
        ended(any_db, created=float(created))
    pages = [store.list_runs(any_db, limit=4, offset=offset) for offset in (0, 4, 8)]
    assert [[run["created"] for run in page] for page in pages] == [[9, 8, 7, 6], [5, 4, 3, 2], [1, 0]]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({"experiment": "jit"}, {"a"}),
        ({"device": "CUDA"}, {"b"}),
        ({"host": "box"}, {"b"}),
        ({"status": "failed"}, {"c"}),
        ({"experiment": "", "status": "done"}, {"a", "b"}),
        ({"text": "NIGHTLY"}, {"a"}),
        ({"text": "out of memory"}, {"c"}),
        ({"text": "mlp3"}, {"b"}),
        ({"text": "100%"}, {"b"}),
        ({"text": "fusion"}, {"b", "c"}),
        ({"text": "x", "status": "failed"}, set()),
    ],
)
def test_filters_find_exactly_what_matches(any_db: Engine, wanted: dict[str, str], found: set[str]) -> None:
    ended(any_db, experiment="jit", title="a", tags="nightly")
    ended(any_db, experiment="fusion", title="b", device="CUDA", host="box", note="100% sure", spec={"model": "mlp3"})
    plain_run(any_db, experiment="fusion", title="c", status="failed", message="out of memory")
    assert {run["title"] for run in store.list_runs(any_db, **wanted)} == found
    assert store.count_runs(any_db, **wanted) == len(found)


def test_deleting_takes_all_that_is_the_runs_alone(any_db: Engine) -> None:
    first, second = claimed(any_db), claimed(any_db)
    store.write(any_db, first, "one", full_batch(b"shared"), 0, 0)
    store.write(any_db, second, "one", full_batch(b"shared"), 0, 0)
    batch = store.Batch()
    batch.artifacts = [("own.bin", hashlib.sha256(b"own").hexdigest(), b"own")]
    store.write(any_db, first, "one", batch, 2, 2)
    assert not store.delete_run(any_db, first)  # it has not ended
    for run_id in (first, second):
        store.finish(any_db, run_id, "one", "done", "done")
    assert store.delete_run(any_db, first)
    assert not store.delete_run(any_db, first)
    assert store.read_artifacts(any_db, second) == {"model.bin": b"shared"}
    with any_db.connect() as connection:
        for table in (schema.rows, schema.samples, schema.details, schema.run_artifacts):
            left = connection.execute(select(table.c.run_id).distinct()).scalars().all()
            assert left == [second]
        assert connection.execute(select(func.count()).select_from(schema.artifacts)).scalar() == 1


def test_ids_are_short_and_do_not_repeat() -> None:
    ids = {store.new_id() for _ in range(10_000)}
    assert len(ids) == 10_000
    assert all(len(one) == 12 and int(one, 16) >= 0 for one in ids)


def test_a_page_of_many_runs_comes_through_an_index(db: Engine) -> None:
    many = [
        {"id": f"{n:012x}", "experiment": f"e{n % 5}", "spec": {}, "device": "CPU", "host": "h", "status": "done"}
        | {"created": float(n), "time_limit_s": 1.0}
        for n in range(10_000)
    ]
    with db.begin() as connection:
        connection.execute(insert(schema.runs), many)
    statements: list[tuple[str, Any]] = []
    event.listen(db, "before_cursor_execute", lambda c, cur, said, given, *_: statements.append((said, given)))
    page = store.list_runs(db, limit=20, offset=40)
    assert [run["created"] for run in page] == [float(n) for n in range(9959, 9939, -1)]
    store.list_runs(db, experiment="e3")
    store.queued_runs(db, "h")
    plans = []
    with db.connect() as connection:
        for said, given in [one for one in statements if one[0].startswith("SELECT")]:
            assert "LIMIT" in said or "runs.status" in said
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {said}", given).all()
            plans.append(" / ".join(step[3] for step in plan))
    assert ["runs_by_created" in plans[0], "runs_by_experiment" in plans[1], "runs_by_status" in plans[2]] == [True] * 3


@pytest.mark.slow
def test_four_writers_at_once_lose_nothing(any_db: Engine) -> None:
    url = any_db.url.render_as_string(hide_password=False)
    module = "tests.experiments.runs.write_runs"
    writers = [subprocess.Popen([sys.executable, "-m", module, url, "1000", f"writer-{n}"]) for n in range(4)]
    assert [one.wait(150) for one in writers] == [0, 0, 0, 0]
    assert store.count_runs(any_db) == 4000
    with any_db.connect() as connection:
        kept = connection.execute(select(schema.rows.c.record)).scalars().all()
    assert {(row["variant"], row["number"]) for row in kept} == {
        (f"writer-{n}", number) for n in range(4) for number in range(1000)
    }


def test_text_is_stored_without_characters_that_a_database_refuses(any_db: Engine) -> None:
    run_id = claimed(any_db)
    assert store.finish(any_db, run_id, "one", "failed", "half \ud800 and\0null", "a\0traceback")
    run = store.get_run(any_db, run_id)
    assert run is not None
    assert (run["message"], run["traceback"]) == ("half ? and\ufffdnull", "a\ufffdtraceback")
    assert store.get_run(any_db, "\0") is None
    assert store.count_runs(any_db, text="\0") == 1  # the same on both: found by what is kept


@pytest.mark.slow
def test_many_processes_may_open_a_new_database_at_once(any_db: Engine) -> None:
    url = any_db.url.render_as_string(hide_password=False)
    schema.metadata.drop_all(any_db)
    any_db.dispose()
    open_at_once(url, 6)
    with any_db.connect() as connection:
        assert connection.execute(text("select value from meta where name = 'schema'")).all() == [
            (str(schema.VERSION),)
        ]
