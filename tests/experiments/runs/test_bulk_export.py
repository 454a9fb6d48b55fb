"""The rows and samples of many runs as one CSV, with the types that their frames have."""

import io
from pathlib import Path

import pandas as pd
import pytest
from sqlalchemy import Engine

from experiments.bench.columns import IDENTITY
from experiments.bench.rows import Row, Sample
from experiments.registry import find
from experiments.runs import bulk_export, frames, store
from tests.experiments.runs.lab_tools import plain_run


def run_of(db: Engine, experiment: str, *rows: Row) -> str:
    run_id = plain_run(db, experiment=experiment)
    assert store.claim(db, run_id, "tester")
    batch = store.Batch()
    batch.rows = list(rows)
    store.write(db, run_id, "tester", batch, 0, 0)
    store.finish(db, run_id, "tester", "done", "done")
    return run_id


NAPS = [
    Row({"variant": "=nap", "number": 2**60, "wait_s": 5, "latency_ms": 0.1 + 0.2}, [Sample("block", 2, [0.5, 1 / 3])]),
    Row({"variant": "nap", "latency_ms": None}, [Sample("single", 1, [1e-9])]),
]
JIT = Row({"variant": "jit", "batch": 16, "model": "mlp3", "latency_ms": 1.5})


def test_rows_of_several_experiments_share_columns_and_keep_their_types(any_db: Engine, lab: Path) -> None:
    naps, jit = run_of(any_db, "steps", *NAPS), run_of(any_db, "jit", JIT)
    found = pd.read_csv(io.StringIO("".join(bulk_export.rows_csv(any_db))), dtype={"number": "Int64", "batch": "Int64"})
    assert found["run_id"].tolist() == [jit, naps, naps]
    assert found["variant"].tolist() == ["jit", "'=nap", "nap"]
    assert found["number"].tolist() == [pd.NA, 2**60, pd.NA]
    assert found["batch"].tolist() == [16, pd.NA, pd.NA]
    assert found["latency_ms"].tolist()[:2] == [1.5, 0.1 + 0.2]
    assert found["experiment"].tolist() == ["jit", "steps", "steps"]


def test_the_rows_of_one_run_are_its_own_download(any_db: Engine, lab: Path) -> None:
    run_id = run_of(any_db, "steps", *NAPS)
    run = store.get_run(any_db, run_id)
    assert run is not None
    assert "".join(bulk_export.rows_csv(any_db)) == frames.to_csv(frames.rows_frame(any_db, run, find("steps")))
    assert "".join(bulk_export.samples_csv(any_db)) == frames.to_csv(frames.samples_frame(any_db, run))


def test_only_runs_that_match_are_written(any_db: Engine, lab: Path) -> None:
    run_of(any_db, "steps", *NAPS)
    jit = run_of(any_db, "jit", JIT)
    header, *lines = "".join(bulk_export.rows_csv(any_db, experiment="jit")).splitlines()
    assert header.split(",")[: len(IDENTITY)] == [column.name for column in IDENTITY]
    assert "wait_s" not in header
    assert [line.split(",")[0] for line in lines] == [jit]


def test_runs_of_experiments_that_are_not_installed_are_left_out(any_db: Engine, lab: Path) -> None:
    run_of(any_db, "unheard_of", JIT)
    assert "".join(bulk_export.rows_csv(any_db)) == "\n"
    assert "".join(bulk_export.samples_csv(any_db)).count("\n") == 1


@pytest.mark.parametrize("make", [bulk_export.rows_csv, bulk_export.samples_csv])
def test_parts_come_one_after_the_other_not_all_at_once(db: Engine, lab: Path, make: object) -> None:
    run_of(db, "steps", *[Row({"variant": "nap", "number": n}, [Sample("block", 1, [0.5])]) for n in range(3000)])
    parts = list(make(db))  # type: ignore[operator]
    assert len(parts) > 3
    assert "".join(parts).count("\n") == 3001
