"""Recommending one variant: winner, runner-up, and whether the difference is significant."""

import numpy as np
import pandas as pd
import pytest

from experiments.studies.tradeoffs.recommendation import Evidence, last_point, recommend, sentence, technique_path
from tests.experiments.studies.tradeoffs.made_rows import ROWS, row

IMAGES = 1000
BLOCKS = np.random.default_rng(0).normal(1, 0.001, 20)
SECONDS = {name: (BLOCKS * latency).tolist() for name, latency in ROWS.set_index("variant")["latency_ms"].items()}


def correct(count):
    return np.arange(IMAGES) < count


CORRECT = {"dense": correct(970), "pruned": correct(965), "int8": correct(969), "tiny": correct(930)}


def test_the_smallest_within_a_point_is_the_faster_run_of_the_smallest_model():
    found = recommend("smallest", ROWS, Evidence())
    assert (found.winner, found.runner_up, found.significant) == ("jit pruned", "jit int8", True)
    assert found.difference == "600 bytes smaller; bytes are exact"


def test_the_fastest_is_compared_in_paired_blocks():
    found = recommend("fastest", ROWS, Evidence(SECONDS, CORRECT))
    assert (found.winner, found.runner_up, found.significant) == ("jit int8", "jit", True)
    assert found.difference.startswith("1.02x faster (1.0")
    noise = np.random.default_rng(1)
    rough = {name: (np.array(blocks) * noise.normal(1, 0.1, 20)).tolist() for name, blocks in SECONDS.items()}
    assert recommend("fastest", ROWS, Evidence(rough, CORRECT)).significant is False
    assert recommend("fastest", ROWS, Evidence()).significant is None


def test_the_best_under_a_size_or_a_latency_is_compared_image_by_image():
    found = recommend("best_by_size", ROWS, Evidence(SECONDS, CORRECT), limit=1500)
    assert (found.winner, found.runner_up) == ("jit int8", "jit pruned")
    assert found.difference == "0.40 points better on the test images (-0.04 to 0.84)"
    assert found.significant is False
    found = recommend("best_by_latency", ROWS, Evidence(SECONDS, CORRECT), limit=0.6)
    assert (found.winner, found.runner_up, found.difference) == ("tiny", None, "nothing else qualifies")
    significant = recommend("best_by_size", ROWS, Evidence(SECONDS, CORRECT | {"pruned": correct(900)}), limit=1500)
    assert significant.significant is True
    assert recommend("best_by_size", ROWS, Evidence(), limit=10) is None


def test_a_winner_by_validation_that_is_worse_on_the_test_images_is_reported_so():
    worse = Evidence(SECONDS, CORRECT | {"int8": correct(960)})
    found = recommend("best_by_size", ROWS, worse, limit=1500)
    assert found.winner == "jit int8"
    assert found.difference == "0.50 points worse on the test images (0.02 to 0.98)"
    assert found.significant is False


def test_validation_images_decide_which_variants_qualify():
    shifted = ROWS.assign(accuracy=ROWS["accuracy"].where(ROWS["variant"] != "tiny", 0.99))
    assert recommend("smallest", shifted, Evidence()).winner == "jit pruned"


def test_the_sentence_has_size_speed_and_accuracy_with_their_intervals():
    rows = ROWS.set_index("variant", drop=False)
    assert sentence(rows.loc["jit pruned"], rows.loc["base"]) == (
        "jit pruned: 10x smaller, 1.82x faster (1.73 to 2), 0.50 points less accurate (0.20 to 0.80)"
    )
    assert sentence(rows.loc["pruned"], rows.loc["base"]).startswith("pruned: 10x smaller, 1.1x slower (1 to 1.16)")
    gained = rows.loc["jit int8"].copy()
    gained[["accuracy_loss", "accuracy_loss_lo", "accuracy_loss_hi"]] = [-0.002, -0.005, 0.001]
    assert sentence(gained, rows.loc["base"]).endswith("0.20 points more accurate (-0.10 to 0.50)")
    assert sentence(rows.loc["jit"], rows.loc["base"]) == "jit: the same model, 2x faster (1.9 to 2.2)"
    assert sentence(rows.loc["base"], rows.loc["base"]) == "the baseline, base"


def test_the_path_to_a_variant_adds_one_technique_at_a_time():
    assert technique_path(ROWS, "jit pruned")["variant"].tolist() == ["base", "pruned", "jit pruned"]
    assert technique_path(ROWS, "jit int8")["variant"].tolist() == ["base", "jit int8"]  # the grid has no step between
    assert technique_path(ROWS, "base")["variant"].tolist() == ["base"]


def test_the_last_point_has_a_baseline_and_only_compared_variants():
    failed = row("failed", 1, 1, 0.9) | {"p_front": np.nan}
    other = ROWS.assign(batch=2)
    found = last_point(pd.concat([ROWS, other, pd.DataFrame([failed])], ignore_index=True))
    assert (found["batch"].unique().tolist(), len(found)) == ([2], len(ROWS))
    assert last_point(ROWS[ROWS["verdict"] != "baseline"]).empty


@pytest.mark.parametrize("criterion", ["smallest", "fastest"])
def test_a_study_of_the_baseline_alone_recommends_it(criterion):
    found = recommend(criterion, ROWS[:1], Evidence())
    assert (found.winner, found.runner_up) == ("base", None)
