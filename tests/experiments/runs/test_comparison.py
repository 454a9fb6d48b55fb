"""Several runs side by side: nothing pooled, nothing hidden that differs."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from experiments.bench.errors import BadInput
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


def test_the_ratio_of_two_runs_comes_from_their_samples_point_by_point(db: Engine) -> None:
    times = [1.0 + number / 100 for number in range(12)]
    one = run_of(db, "jit", jit_row(16, times), jit_row(32, times), jit_row(64, times, verdict="wrong"))
    other = run_of(db, "jit", jit_row(16, [2 * t for t in times]), jit_row(32, times), jit_row(64, times))
    table = comparison.ratios(db, one, other)
    assert table["point"].tolist() == ["model mlp3, batch 16", "model mlp3, batch 32"]
    assert table["ratio"].tolist() == pytest.approx([2.0, 1.0])
    assert table["verdict"].tolist() == ["faster", "cannot tell"]
    assert (table["ratio_lo"] < table["ratio"]).all()
    assert comparison.ratio_answer(table) == (
        "Of 2 rows timed in both runs, the first run is faster in 1 and slower in 0; 1 are inconclusive. "
        "The second run's latency is 1 to 2 times the first's."
    )
    assert comparison.ratios(db, other, one)["verdict"].tolist() == ["slower", "cannot tell"]


def test_rows_of_unlike_models_are_not_matched_and_unlike_parameters_are_named(db: Engine) -> None:
    one = run_of(db, "jit", jit_row(16, [0.5]), spec={"widths": [1], "budget_s": 1, "batch": [16], "calls": 5})
    other = run_of(db, "jit", jit_row(16, [0.5], model="cnn"), spec={"widths": [2], "budget_s": 2, "batch": [8, 16]})
    assert comparison.ratios(db, one, other).empty
    assert comparison.unlike_parameters(one, other) == ["widths", "calls"]
    assert comparison.unlike_parameters(one, one) == []


def test_runs_with_no_point_in_common_and_of_two_experiments_have_no_ratio(db: Engine, lab: Path) -> None:
    one, other = run_of(db, "jit", jit_row(16, [0.5])), run_of(db, "jit", jit_row(32, [0.5]))
    assert comparison.ratios(db, one, other).empty
    with pytest.raises(BadInput, match="same experiment"):
        comparison.ratios(db, one, run_of(db, "steps"))
