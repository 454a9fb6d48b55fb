"""Real runs of the trade-off study: complete rows, a front, no model built twice, failures that do not stop it."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

import experiments
from experiments.bench.events import DetailEvent
from experiments.bench.spec import parse
from experiments.models import builder, tensor_file
from experiments.models.data.mnist import mnist
from experiments.models.format.packed import unpack
from experiments.models.techniques.quantization.numpy_backend import accuracy_numpy
from experiments.runs import jobs, store
from experiments.studies.tradeoffs.answer import answer
from experiments.studies.tradeoffs.experiment import TradeoffsSpec

PRUNED = "unstructured 0.517"  # used only by these tests, so that its models are not cached
QUICK = {"execution": "jit", "pruning": f"none,{PRUNED}", "tune_steps": 0, "budget_s": 0.1, "batch": [1]}


def forget(**given):
    """Removes the models that an earlier run of these tests cached on this machine."""
    for recipe in parse(TradeoffsSpec, QUICK | given).grid.models():
        if recipe.is_pruned:
            builder.cache_path(recipe).unlink(missing_ok=True)


@dataclass(frozen=True)
class StudyRun:
    """The frames and files of one run."""

    rows: pd.DataFrame
    effects: pd.DataFrame
    models: pd.DataFrame
    failures: pd.DataFrame
    files: dict[str, bytes]


def run(**given) -> StudyRun:
    run_id = jobs.run_now("tradeoffs", parse(TradeoffsSpec, QUICK | given))
    db = store.engine(store.database_url())
    assert store.get_run(db, run_id)["status"] == "done", store.get_run(db, run_id)["message"]
    details = [experiments.detail(run_id, name) for name in ("effects", "models", "failures")]
    return StudyRun(experiments.frame(run_id), *details, store.read_artifacts(db, run_id))


@pytest.fixture(scope="module")
def ran(shared_database):
    forget()
    return run()


@pytest.fixture
def study(ran):
    return ran.rows


def test_every_variant_is_one_row_with_all_numbers(study):
    assert study["variant"].tolist() == [
        "eager float32 dense",
        *("jit float32 dense", "jit int8 static dense", "jit float32 51.7% pruned", "jit int8 static 51.7% pruned"),
    ]
    numbers = ["accuracy", "accuracy_loss", "size_bytes", "compression", "latency_ms", "kernels", "p_front"]
    assert study[numbers].notna().all(axis=None)
    assert study["verdict"].iloc[0] == "baseline"
    assert set(study["verdict"][1:]) <= {"faster", "slower", "cannot tell"}
    assert (study["accuracy_lo"] < study["accuracy"]).all()
    assert (study["latency_lo_ms"] <= study["latency_ms"]).all()
    assert study["front"].any()
    assert study.loc[~study["front"], "dominated_by"].isin(study["variant"]).all()


def test_losses_of_accuracy_are_paired_with_the_baseline(study):
    base = study.iloc[0]
    assert study["accuracy_loss"].to_numpy() == pytest.approx(base["accuracy"] - study["accuracy"].to_numpy())
    widths = study["accuracy_loss_hi"] - study["accuracy_loss_lo"]
    assert (widths[1:] < (study["accuracy_hi"] - study["accuracy_lo"])[1:]).all()


@pytest.mark.slow
def test_the_file_of_each_recipe_restores_the_accuracy_of_its_rows(ran):
    test = mnist().test
    for row in ran.rows.drop_duplicates("recipe").to_dict("records"):
        file = ran.files[f"{row['recipe']}.tinylab"]
        assert len(file) == row["size_bytes"]
        assert accuracy_numpy(unpack(file), test.images, test.labels) == row["accuracy"]


def test_the_correct_predictions_of_every_model_are_stored_with_the_run(ran):
    packed, about = tensor_file.decode(ran.files["answers.safetensors"])
    for row in ran.rows.to_dict("records"):
        correct = np.unpackbits(packed[row["recipe"]], count=int(about["images"]))
        assert correct.mean() == row["accuracy"]


def test_every_factor_that_varies_has_effects(ran):
    effects = ran.effects
    alone = effects[effects["with_factor"].isna()]
    assert set(alone["factor"]) == {"execution", "pruning", "quantization"}
    assert (effects["effect_lo"] <= effects["effect_hi"]).all()
    fewer = alone[(alone["factor"] == "quantization") & (alone["response"] == "bytes")].iloc[0]
    assert 0.2 < fewer["effect"] < 0.5


def test_the_answer_states_gains_and_losses(study):
    sentence = answer(study)
    assert sentence.startswith("On CPU, mlp at batch 1: the smallest")
    assert "within 1 percentage point of the baseline is jit" in sentence
    assert "smaller" in sentence
    assert "points" in sentence


@pytest.mark.slow
def test_a_cancelled_study_submitted_again_with_a_larger_grid_rebuilds_no_model():
    given = {"pruning": "none,unstructured 0.523", "quantization": "none,static 8", "execution": "eager"}
    forget(**given)
    seen = {}

    def stop_in_the_middle(event):
        if isinstance(event, DetailEvent) and event.name == "models":
            seen.update((record["recipe"], record["seconds"]) for record in event.records)
        if len(seen) == 3:
            raise KeyboardInterrupt

    run_id = jobs.run_now("tradeoffs", parse(TradeoffsSpec, QUICK | given), on_event=stop_in_the_middle)
    assert store.get_run(store.engine(store.database_url()), run_id)["status"] == "cancelled"
    again = run(**given | {"quantization": "none,static 8,weight-only 4"}).models.set_index("recipe")
    assert again.loc[list(seen), "kept"].all()
    assert again.loc[list(seen), "seconds"].tolist() == list(seen.values())
    assert len(again) == 6


@pytest.fixture
def in_the_way():
    """A folder where the file of one pruned model should be written."""
    given = {"pruning": "unstructured 0.531", "quantization": "none,static 8"}
    forget(**given)
    blocked = builder.cache_path(parse(TradeoffsSpec, QUICK | given).grid.models()[-1])
    blocked.mkdir(parents=True)
    yield given
    blocked.rmdir()


@pytest.mark.slow
def test_a_variant_that_raises_or_runs_out_of_time_is_a_row_and_the_study_goes_on(in_the_way):
    ended = run(**in_the_way, execution="jit,jit+beam=4", search_s=1)
    frame, failures = ended.rows.set_index("variant"), ended.failures.set_index("variant")
    assert frame.loc["jit int8 static 53.1% pruned", "verdict"] == "failed"
    assert frame.loc["jit+beam=4 float32 53.1% pruned", "verdict"] == "timeout"
    assert frame.loc["jit float32 53.1% pruned", "p_front"] >= 0
    without = frame["verdict"].isin(["failed", "timeout"])
    assert frame.loc[without, ["latency_ms", "accuracy", "p_front", "front"]].isna().all(axis=None)
    assert "IsADirectoryError" in failures.loc["jit int8 static 53.1% pruned", "message"]
    assert "did not finish within 1 s" in failures.loc["jit+beam=4 float32 53.1% pruned", "message"]
