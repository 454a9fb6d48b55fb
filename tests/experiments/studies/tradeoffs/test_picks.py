"""Picking one variant: winner, runner-up, and whether the difference is real."""

import numpy as np
import pandas as pd
import pytest

from experiments.studies.tradeoffs.experiment import answer
from experiments.studies.tradeoffs.picks import Evidence, last_point, path, pick, sentence

BASE = {"execution": "eager", "pruning": "none", "quantization": "none", "distilled": "no", "hidden": 0, "seed": 0}
IMAGES = 1000


def row(variant, size, latency, validation, *, recipe=None, **factors):
    """One row; test accuracy is the validation accuracy less 1 %, so that the two cannot be mixed up."""
    return {
        **BASE,
        "variant": variant,
        "recipe": recipe or variant,
        "size_bytes": size,
        "latency_ms": latency,
        "batch": 1,
        "validation_accuracy": validation,
        "accuracy": validation - 0.01,
        "p_front": 0.5,
        "device": "CPU",
        "speedup": 2.0 / latency,
        "speedup_lo": 1.9 / latency,
        "speedup_hi": 2.2 / latency,
        "verdict": "faster",
        "accuracy_loss": 0.98 - validation,
        "accuracy_loss_lo": 0.977 - validation,
        "accuracy_loss_hi": 0.983 - validation,
        **factors,
    }


ROWS = pd.DataFrame(
    [
        row("base", 4000, 2.0, 0.980, verdict="baseline", recipe="dense"),
        row("jit", 4000, 1.0, 0.980, recipe="dense", execution="jit"),
        row("pruned", 400, 2.2, 0.975, recipe="pruned", pruning="unstructured 0.9"),
        row("jit pruned", 400, 1.1, 0.975, recipe="pruned", execution="jit", pruning="unstructured 0.9"),
        row("tiny", 100, 0.5, 0.940, recipe="tiny", execution="jit", pruning="structured 0.1"),
        row("jit int8", 1000, 0.98, 0.979, recipe="int8", execution="jit", quantization="static 8"),
    ]
)
BLOCKS = np.random.default_rng(0).normal(1, 0.001, 20)
SECONDS = {name: (BLOCKS * latency).tolist() for name, latency in ROWS.set_index("variant")["latency_ms"].items()}


def right(count):
    return np.arange(IMAGES) < count


RIGHT = {"dense": right(970), "pruned": right(965), "int8": right(969), "tiny": right(930)}


def test_the_smallest_within_a_point_is_the_faster_run_of_the_smallest_model():
    found = pick("smallest", ROWS, Evidence())
    assert (found.winner, found.runner_up, found.told) == ("jit pruned", "jit int8", True)
    assert found.difference == "600 bytes smaller; bytes are exact"


def test_the_fastest_is_told_by_paired_blocks():
    found = pick("fastest", ROWS, Evidence(SECONDS, RIGHT))
    assert (found.winner, found.runner_up, found.told) == ("jit int8", "jit", True)
    assert found.difference.startswith("1.02x faster (1.0")
    noise = np.random.default_rng(1)
    rough = {name: (np.array(blocks) * noise.normal(1, 0.1, 20)).tolist() for name, blocks in SECONDS.items()}
    assert pick("fastest", ROWS, Evidence(rough, RIGHT)).told is False
    assert pick("fastest", ROWS, Evidence()).told is None


def test_the_best_under_a_size_or_a_latency_is_told_image_by_image():
    found = pick("best_by_size", ROWS, Evidence(SECONDS, RIGHT), limit=1500)
    assert (found.winner, found.runner_up) == ("jit int8", "jit pruned")
    assert found.difference == "0.40 points better on the test images (-0.04 to 0.84)"
    assert found.told is False
    found = pick("best_by_latency", ROWS, Evidence(SECONDS, RIGHT), limit=0.6)
    assert (found.winner, found.runner_up, found.difference) == ("tiny", None, "nothing else qualifies")
    surely = pick("best_by_size", ROWS, Evidence(SECONDS, RIGHT | {"pruned": right(900)}), limit=1500)
    assert surely.told is True
    assert pick("best_by_size", ROWS, Evidence(), limit=10) is None


def test_a_winner_by_validation_that_is_worse_on_the_test_images_is_told_so():
    worse = Evidence(SECONDS, RIGHT | {"int8": right(960)})
    found = pick("best_by_size", ROWS, worse, limit=1500)
    assert found.winner == "jit int8"
    assert found.difference == "0.50 points worse on the test images (0.02 to 0.98)"
    assert found.told is False


def test_what_qualifies_is_decided_by_the_validation_images():
    shifted = ROWS.assign(accuracy=ROWS["accuracy"].where(ROWS["variant"] != "tiny", 0.99))
    assert pick("smallest", shifted, Evidence()).winner == "jit pruned"


def test_the_sentence_says_size_speed_and_accuracy_with_their_intervals():
    rows = ROWS.set_index("variant", drop=False)
    assert sentence(rows.loc["jit pruned"], rows.loc["base"]) == (
        "jit pruned: 10x smaller, 1.82x faster (1.73 to 2), 0.50 points lower (0.20 to 0.80)"
    )
    assert sentence(rows.loc["pruned"], rows.loc["base"]).startswith("pruned: 10x smaller, 1.1x slower (1 to 1.16)")
    gained = rows.loc["jit int8"].copy()
    gained[["accuracy_loss", "accuracy_loss_lo", "accuracy_loss_hi"]] = [-0.002, -0.005, 0.001]
    assert sentence(gained, rows.loc["base"]).endswith("0.20 points higher (-0.10 to 0.50)")
    assert sentence(rows.loc["jit"], rows.loc["base"]) == "jit: the same model, 2x faster (1.9 to 2.2)"
    assert sentence(rows.loc["base"], rows.loc["base"]) == "the baseline itself, base"


def test_the_way_to_a_variant_adds_one_technique_at_a_time():
    assert path(ROWS, "jit pruned")["variant"].tolist() == ["base", "pruned", "jit pruned"]
    assert path(ROWS, "jit int8")["variant"].tolist() == ["base", "jit int8"]  # the grid has no step between
    assert path(ROWS, "base")["variant"].tolist() == ["base"]


def test_the_last_point_has_a_baseline_and_what_has_a_place():
    failed = row("failed", 1, 1, 0.9) | {"p_front": np.nan}
    other = ROWS.assign(batch=2)
    found = last_point(pd.concat([ROWS, other, pd.DataFrame([failed])], ignore_index=True))
    assert (found["batch"].unique().tolist(), len(found)) == ([2], len(ROWS))
    assert last_point(ROWS[ROWS["verdict"] != "baseline"]).empty


@pytest.mark.parametrize("question", ["smallest", "fastest"])
def test_a_study_of_the_baseline_alone_picks_it(question):
    found = pick(question, ROWS[:1], Evidence())
    assert (found.winner, found.runner_up) == ("base", None)


@pytest.mark.parametrize(
    ("speedup_lo", "said"),
    [(2.1, "; none is clearly faster; "), (3.0, "; the fastest jit int8: 4x smaller, ")],
    ids=["told apart", "not told apart"][::-1],
)
def test_the_answer_names_a_fastest_only_where_it_is_clearly_faster_than_the_smallest(speedup_lo, said):
    frame = ROWS.assign(network="mlp", front=True, speedup_hi=2.5)
    frame.loc[frame["variant"] == "jit int8", "speedup_lo"] = speedup_lo
    text = answer(frame)
    assert text.startswith("On CPU, mlp at batch 1: the smallest within 1 point of the baseline is jit pruned: ")
    assert said in text
    assert text.endswith("6 of 6 variants are the front.")
