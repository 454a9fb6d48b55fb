"""Several runs side by side: nothing pooled, nothing hidden that differs."""

from typing import Any

from sqlalchemy import Engine

from experiments.bench.rows import Row, Sample
from experiments.runs import comparison, store
from tests.experiments.runs.lab_tools import plain_run

FACTS = {"cpu": "a processor", "python": "3.11", "time": 0.0}


def run_of(db: Engine, experiment: str, *rows: Row, **changes: Any) -> Any:
    usual = {"experiment": experiment, "device": "CPU", "environment": FACTS, "fingerprint": "abc"}
    run_id = plain_run(db, **usual | changes)
    assert store.claim(db, run_id, "tester")
    batch = store.Batch()
    batch.rows = list(rows)
    store.write(db, run_id, "tester", batch, 0, 0)
    store.finish(db, run_id, "tester", "done", "done")
    return store.get_run(db, run_id)


def jit_row(batch: int, seconds: list[float], **values: Any) -> Row:
    return Row({"variant": "jit", "model": "mlp3", "batch": batch, **values}, [Sample("block", 1, seconds)])


def test_runs_are_found_in_the_order_of_the_link_each_once(db: Engine) -> None:
    one, other = run_of(db, "jit"), run_of(db, "jit")
    found, problems = comparison.chosen_runs(db, [other["id"], one["id"], "", other["id"]])
    assert [run["id"] for run in found] == [other["id"], one["id"]]
    assert problems == []


def test_nonsense_and_too_many_ids_are_one_line_each(db: Engine) -> None:
    here, strange = run_of(db, "jit"), run_of(db, "unheard_of")
    ids = [here["id"], strange["id"], *(f"<b>{number}</b>" for number in range(500))]
    found, problems = comparison.chosen_runs(db, ids)
    assert [run["id"] for run in found] == [here["id"]]
    assert len(problems) == 3
    assert "502 are named, the first 100 are shown" in problems[0]
    assert "no run '<b>0</b>', '<b>1</b>', '<b>2</b>' and 95 more" in problems[1]
    assert "unheard_of is not installed" in problems[2]
    assert all("\n" not in problem for problem in problems)


def test_runs_of_two_experiments_share_the_columns_that_both_declare(db: Engine) -> None:
    one = run_of(db, "jit", jit_row(16, [0.5], latency_ms=500.0))
    other = run_of(db, "quantization", Row({"variant": "float32", "network": "mlp", "batch": 1, "latency_ms": 1.0}))
    names = [column.name for column in comparison.shared_columns([one, other])]
    assert {"batch", "latency_ms", "speedup", "verdict"} <= set(names)
    assert "network" not in names
    assert "model" not in names
    frame = comparison.rows_frame(db, [one, other])
    assert frame[["experiment", "batch", "latency_ms"]].to_numpy().tolist() == [
        ["jit", 16, 500.0],
        ["quantization", 1, 1.0],
    ]


def test_unlike_machines_have_unlike_names_and_a_reboot_changes_none(db: Engine) -> None:
    one = run_of(db, "jit")
    rebooted = run_of(db, "jit", environment={**FACTS, "time": 9.0})
    upgraded = run_of(db, "jit", fingerprint="def")
    gpu = run_of(db, "jit", device="CUDA", environment={**FACTS, "gpu": "a GPU"})
    named = [comparison.machine(run) for run in (one, rebooted, upgraded, gpu)]
    assert named[0] == named[1] == "CPU · a processor · abc"
    assert len(set(named)) == 3
    assert named[3] == "CUDA · a GPU · abc"


def test_facts_that_differ_are_separated_from_those_that_agree(db: Engine) -> None:
    one = run_of(db, "jit", spec={"batch": [1, 2], "calls": 5})
    other = run_of(db, "jit", spec={"batch": [1, 2], "calls": 9, "new": True})
    unlike, like = comparison.differences([one, other], "spec")
    assert unlike.loc["calls"].tolist() == ["5", "9"]
    assert unlike.loc["new"].isna().tolist() == [True, False]
    assert list(like.index) == ["batch"]
    unlike, like = comparison.differences([one, run_of(db, "jit", environment=None)], "environment")
    assert set(unlike.index) == set(FACTS)
