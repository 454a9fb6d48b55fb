"""The same experiments from Python: `experiments.run`, `experiments.frame`, `experiments.detail`."""

import re

import pandas as pd
import pytest

import experiments
from experiments.bench.errors import BadInput
from experiments.runs import store

DEVICE = "QCOM:9"  # no machine here has it, and the experiments of `lab` compute nothing

pytestmark = pytest.mark.usefixtures("lab", "any_device")


def ids() -> list[str]:
    return [run["id"] for run in store.list_runs(store.engine(store.database_url()))]


def test_run_returns_the_rows_and_keeps_the_run() -> None:
    frame = experiments.run("steps", rows=3, device=DEVICE)
    assert frame["number"].tolist() == [0, 1, 2]
    assert frame["run_id"].unique().tolist() == ids()
    pd.testing.assert_frame_equal(experiments.frame(ids()[0]), frame)


def test_fields_go_on_top_of_a_preset() -> None:
    frame = experiments.run("steps", preset="slow", rows=1, pause_s=0, device=DEVICE)
    assert frame["wait_s"].tolist() == [0.0]


def test_details_of_a_stored_run_come_back() -> None:
    run_id = experiments.run("steps", rows=2, device=DEVICE)["run_id"][0]
    assert experiments.detail(run_id, "log")["said"].tolist() == ["step 0", "step 1"]


def test_unknown_runs_and_details_are_key_errors() -> None:
    run_id = experiments.run("steps", rows=1, device=DEVICE)["run_id"][0]
    for wanted in (lambda: experiments.frame("nothing"), lambda: experiments.detail("nothing", "log")):
        with pytest.raises(KeyError, match="nothing"):
            wanted()
    with pytest.raises(KeyError, match="timeline"):
        experiments.detail(run_id, "timeline")


@pytest.mark.parametrize(
    ("name", "preset", "fields", "said"),
    [
        ("steps", None, {"rows": -1}, "rows: -1 is not allowed"),
        ("steps", None, {"row": 1}, "row: unknown field, did you mean rows?"),
        ("steps", "nothing", {}, "preset: nothing is not allowed; give one of quick, slow"),
        ("nothing", None, {}, "experiment: nothing is unknown"),
    ],
)
def test_bad_input_is_raised_before_anything_runs(
    name: str, preset: str | None, fields: dict[str, int], said: str
) -> None:
    with pytest.raises(BadInput, match=re.escape(said)):
        experiments.run(name, preset=preset, **fields)
    assert ids() == []


def test_a_run_that_fails_raises_with_the_id_under_which_its_rows_are_kept() -> None:
    with pytest.raises(RuntimeError) as failed:
        experiments.run("raises", rows=2, device=DEVICE)
    assert str(failed.value) == f"run {ids()[0]} failed: RuntimeError: the steps have ended"
    assert experiments.frame(ids()[0])["number"].tolist() == [0, 1]


def test_a_run_that_takes_too_long_raises_too() -> None:
    with pytest.raises(RuntimeError, match="timeout: stopped at its time limit of 1 s"):
        experiments.run("steps", rows=100, pause_s=0.5, time_limit_s=1, device=DEVICE)
