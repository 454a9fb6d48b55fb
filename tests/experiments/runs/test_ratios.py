"""The ratio of two runs: from their latencies, with the variation between repeats of their specs or a default."""

import math
import random
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sqlalchemy import Engine

from experiments.bench.errors import BadInput
from experiments.bench.rows import Row
from experiments.runs import ratios, store
from experiments.runs.ratios import DEFAULT_DEVIATION
from tests.experiments.runs.lab_tools import on_both, plain_run

SPEC = {"batch": [16, 32], "seed": 1}
HALF = 0.005  # half-width of the interval of each run's own samples


def run_of(db: Engine, *rows: Row, status: str = "done", **changes: Any) -> Any:
    usual = {"experiment": "jit", "spec": SPEC, "device": "CPU", "host": "here", "fingerprint": "abc"}
    run_id = plain_run(db, **usual | {"environment": {"cpu": "a processor"}} | changes)
    assert store.claim(db, run_id, "tester")
    batch = store.Batch()
    batch.rows = list(rows)
    store.write(db, run_id, "tester", batch, 0, 0)
    store.finish(db, run_id, "tester", status, status)
    return store.get_run(db, run_id)


def row(batch: int, median_ms: float, **values: Any) -> Row:
    interval = {"latency_lo_ms": median_ms * (1 - HALF), "latency_hi_ms": median_ms * (1 + HALF)}
    known = {"variant": "jit", "model": "mlp3", "batch": batch, "latency_ms": median_ms, "harness": 2}
    return Row({**known, **interval, **values})


def deviations(db: Engine, one: Any, other: Any) -> list[tuple[float, int | None]]:
    table = ratios.compare(db, one, other)
    counts = [None if pd.isna(count) else int(count) for count in table["repeats"]]
    return list(zip(table["deviation"].tolist(), counts, strict=True))


@on_both
def test_rows_are_compared_point_by_point_by_their_latencies(db: Engine) -> None:
    one = run_of(db, row(16, 1.0), row(32, 1.0), row(64, 1.0, verdict="wrong"))
    other = run_of(db, row(16, 2.0), row(32, 1.0), row(64, 1.0))
    table = ratios.compare(db, one, other)
    assert table["point"].tolist() == ["model mlp3, batch 16", "model mlp3, batch 32"]
    assert table[["first_ms", "second_ms", "ratio"]].to_numpy().tolist() == [[1.0, 2.0, 2.0], [1.0, 1.0, 1.0]]
    assert table["verdict"].tolist() == ["faster", "cannot tell"]
    assert (table["ratio_lo"] < table["ratio"]).all()
    assert ratios.answer(table) == (
        "Of 2 rows timed in both runs, the first run is faster in 1 and slower in 0; 1 are inconclusive. "
        "The second run's latency is 1 to 2 times the first's."
    )
    assert ratios.compare(db, other, one)["verdict"].tolist() == ["slower", "cannot tell"]


def test_a_difference_below_the_variation_between_runs_is_inconclusive(db: Engine) -> None:
    table = ratios.compare(db, run_of(db, row(16, 1.0)), run_of(db, row(16, 1.02)))
    assert table["verdict"].tolist() == ["cannot tell"]
    assert table["ratio_lo"][0] < 1 < table["ratio_hi"][0]
    one, other = (run_of(db, row(16, latency), spec={"seed": 2}) for latency in (1.0, 1.1))
    assert ratios.compare(db, one, other)["verdict"].tolist() == ["faster"]


def test_fewer_than_three_runs_of_a_spec_take_the_default_of_their_harness(db: Engine) -> None:
    one, other = run_of(db, row(16, 1.0)), run_of(db, row(16, 1.1))
    assert deviations(db, one, other) == [(DEFAULT_DEVIATION[2], None)]
    assert "a default, because neither spec has 3 finished runs" in ratios.basis(ratios.compare(db, one, other))
    old = run_of(db, row(16, 1.0, harness=None), spec={"old": 1})
    assert deviations(db, one, old) == [(DEFAULT_DEVIATION[1], None)]
    newest = run_of(db, row(16, 1.0, harness=99), spec={"new": 1})
    assert deviations(db, newest, newest) == [(DEFAULT_DEVIATION[2], None)]


@on_both
def test_three_runs_of_a_spec_on_a_machine_are_repeats(db: Engine) -> None:
    one, other = run_of(db, row(16, 1.0)), run_of(db, row(16, math.e))
    run_of(db, row(16, math.e**2))
    ((deviation, repeats),) = deviations(db, one, other)
    assert (deviation, repeats) == (pytest.approx(1.0), 3)
    basis = ratios.basis(ratios.compare(db, one, other))
    assert "standard deviation of the logarithm 1, estimated from 3 runs of one spec)" in basis


@pytest.mark.parametrize(
    "changes",
    [
        {"spec": {**SPEC, "seed": 2}},
        {"fingerprint": "another"},
        {"host": "elsewhere"},
        {"device": "CPU:1"},
        {"experiment": "beam"},
        {"status": "timeout"},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_a_run_of_another_spec_machine_or_end_is_no_repeat(db: Engine, changes: dict[str, Any]) -> None:
    one, other = run_of(db, row(16, 1.0)), run_of(db, row(16, 1.1))
    run_of(db, row(16, 9.0), **changes)
    assert deviations(db, one, other) == [(DEFAULT_DEVIATION[2], None)]


def test_rows_of_another_harness_are_no_repeats(db: Engine) -> None:
    one, other = run_of(db, row(16, 1.0)), run_of(db, row(16, 1.1))
    run_of(db, row(16, 9.0, harness=None))
    assert deviations(db, one, other) == [(DEFAULT_DEVIATION[2], None)]


def test_of_two_specs_the_one_with_fewer_repeats_is_named(db: Engine) -> None:
    first = [run_of(db, row(16, 1.0 + number / 100)) for number in range(5)]
    second = [run_of(db, row(16, 1.0 + number / 100), spec={"seed": 9}) for number in range(3)]
    alone = run_of(db, row(16, 1.0), spec={"seed": 10})
    assert [repeats for _, repeats in deviations(db, first[0], second[0])] == [3]
    assert [repeats for _, repeats in deviations(db, first[0], alone)] == [5]


def test_pairs_of_equal_runs_get_a_verdict_in_at_most_5_percent(db: Engine) -> None:
    rng = random.Random(1)
    runs = [run_of(db, *(row(batch, math.exp(rng.gauss(0, 0.1))) for batch in (1, 2, 4))) for _ in range(12)]
    pairs = [(one, other) for number, one in enumerate(runs) for other in runs[:number]]
    with_verdict = sum((ratios.compare(db, *pair)["verdict"] != "cannot tell").any() for pair in pairs)
    assert with_verdict <= 0.05 * len(pairs)


def test_a_difference_that_a_busy_neighbor_may_explain_is_inconclusive(db: Engine) -> None:
    alone, beside = run_of(db, row(16, 1.0)), run_of(db, row(16, 1.4), environment={"other_processes_cpu": 0.5})
    assert ratios.compare(db, alone, beside)["verdict"].tolist() == ["cannot tell"]
    assert ratios.compare(db, beside, alone)["verdict"].tolist() == ["cannot tell"]
    much = run_of(db, row(16, 3.0), environment={"other_processes_cpu": 0.5}, spec={"seed": 2})
    assert ratios.compare(db, alone, much)["verdict"].tolist() == ["faster"]


@pytest.mark.parametrize("ends", [(None, None), (0.0, 1.0), (math.nan, math.nan), ("a", "b")])
def test_a_latency_without_an_interval_has_a_ratio_and_no_verdict(db: Engine, ends: tuple[Any, Any]) -> None:
    one = run_of(db, row(16, 1.0))
    other = run_of(db, row(16, 5.0, latency_lo_ms=ends[0], latency_hi_ms=ends[1]))
    table = ratios.compare(db, one, other)
    assert (table["ratio"].tolist(), table["verdict"].tolist()) == ([5.0], ["cannot tell"])
    assert table["ratio_lo"].isna().all()


@pytest.mark.parametrize("latency", [None, 0.0, -1.0, math.inf, "much"])
def test_a_row_without_a_latency_is_not_compared(db: Engine, latency: Any) -> None:
    one, other = run_of(db, row(16, 1.0)), run_of(db, row(16, 1.0, latency_ms=latency))
    assert ratios.compare(db, one, other).empty


def test_rows_of_unlike_models_are_not_matched_and_unlike_parameters_are_named(db: Engine) -> None:
    one = run_of(db, row(16, 0.5), spec={"widths": [1], "budget_s": 1, "batch": [16], "calls": 5})
    other = run_of(db, row(16, 0.5, model="cnn"), spec={"widths": [2], "budget_s": 2, "batch": [8, 16]})
    assert ratios.compare(db, one, other).empty
    assert ratios.unlike_parameters(one, other) == ["widths", "calls"]
    assert ratios.unlike_parameters(one, one) == []


def test_runs_with_no_point_in_common_and_of_two_experiments_have_no_ratio(db: Engine, lab: Path) -> None:
    one, other = run_of(db, row(16, 0.5)), run_of(db, row(32, 0.5))
    assert ratios.compare(db, one, other).empty
    with pytest.raises(BadInput, match="same experiment"):
        ratios.compare(db, one, run_of(db, experiment="steps"))
