"""Pruning while training, on one tiny network in one child process: the compiler is what takes the time."""

import json
import subprocess
import sys

import numpy as np
import pytest

from experiments.bench.machine.toolchain import child_environment
from experiments.models.techniques.fine_tuning import VERSION

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def seen():
    command = [sys.executable, "-m", "tests.experiments.models.techniques.fine_tuning_program"]
    done = subprocess.run(command, capture_output=True, text=True, env=child_environment("CPU"), check=False)
    assert not done.returncode, done.stderr
    return json.loads(done.stdout)


def weight(seen, what, layer=0):
    return np.array(seen[what][f"layers.{layer}.weight"])


def zeros(seen, what):
    return sum((weight(seen, what, layer) == 0).sum() for layer in (0, 1)) / (16 * 8 + 8 * 3)


def test_one_shot_trains_what_the_first_pruning_leaves(seen):
    assert zeros(seen, "one shot") == pytest.approx(0.75, abs=0.01)
    assert ((weight(seen, "one shot") == 0) == (weight(seen, "first") == 0)).all()
    assert (weight(seen, "one shot") != weight(seen, "first")).any()
    assert seen["told"] == [[step, 100] for step in range(100)]


def test_a_gradual_schedule_tightens_over_the_first_part_to_the_target(seen):
    amounts = [amount for amount, _, _ in seen["asked"]]
    assert amounts == sorted(amounts)
    assert (amounts[0], amounts[-1]) == (0, 0.75)
    assert len(amounts) == 31  # at the first of 100 steps, then at every second of 60: at most 40 times
    assert [sparsity for _, sparsity, _ in seen["asked"]] == pytest.approx(amounts, abs=0.01)
    assert [within for _, _, within in seen["asked"]] == [False] + [True] * 30
    assert zeros(seen, "gradual") == pytest.approx(0.75, abs=0.01)
    assert not (weight(seen, "gradual") * (weight(seen, "masks") == 0)).any()


def test_the_curve_follows_step_sparsity_and_accuracy(seen):
    steps = [record["step"] for record in seen["curve"]]
    assert steps == list(range(0, 101, 10))
    assert seen["curve"][-1]["sparsity"] == pytest.approx(0.75, abs=0.01)
    assert seen["curve"][-1]["validation_accuracy"] > 0.8


def test_no_steps_prune_at_once_and_train_nothing(seen):
    assert seen["none"] == seen["first"]


def test_a_target_of_nothing_is_the_dense_network_trained_as_long(seen):
    assert zeros(seen, "dense") == 0


def test_two_of_four_stays_two_of_four(seen):
    groups = weight(seen, "n of m").reshape(8, 4, 4)
    assert ((groups != 0).sum(axis=2) <= 2).all()


@pytest.mark.parametrize("score", ["l2", "taylor", "random"])
def test_half_of_the_units_are_removed_with_all_their_weights(seen, score):
    gone = ~weight(seen, score).any(axis=1)
    assert gone.sum() == 4
    assert not weight(seen, score, 1)[:, gone].any()
    assert not np.array(seen[score]["layers.0.bias"])[gone].any()


def test_gradients_are_the_slopes_of_the_loss(seen):
    assert seen["batches"] == 2  # 80 images; 16 do not fill a batch of 32
    for gradient, slope in seen["slopes"]:
        assert gradient == pytest.approx(slope, rel=1e-3, abs=1e-5)
    assert seen["too few"] == "4 images do not fill one batch of 32"


def test_every_pruning_uses_the_one_compiled_step(seen):
    assert seen["compiled once"]


SPARSITIES = {1: [0.0, 0.3158, 0.5263, 0.6579, 0.7237, 0.7434, 0.75, 0.75, 0.75, 0.75, 0.75]}
MAGNITUDES = {1: {"gradual": [29.202, 4.1196, 19.2626, 4.891], "one shot": [29.9464, 4.1043, 18.1374, 4.7139]}}


@pytest.mark.parametrize("schedule", ["gradual", "one shot"])
def test_the_output_of_a_version_does_not_change(seen, schedule):
    """The sums of the absolute weights, with a tolerance: the order of float sums differs between compilers."""
    sums = [float(np.abs(np.array(one)).sum()) for one in seen[schedule].values()]
    sparsities = [record["sparsity"] for record in seen["curve"]]
    unchanged = MAGNITUDES.get(VERSION, {}).get(schedule) == pytest.approx(sums, rel=2e-3) and SPARSITIES.get(
        VERSION
    ) == pytest.approx(sparsities, abs=1e-3)
    assert unchanged, f"raise VERSION of fine_tuning, and update these values: {sums}, {sparsities}"
