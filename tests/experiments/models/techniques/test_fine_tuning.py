"""Pruning while training, on one tiny network in one child process: the compiler is what takes the time."""

import json
import subprocess
import sys

import numpy as np
import pytest

from experiments.bench.machine.toolchain import child_environment

LOOK = """
import json
import numpy as np
from experiments.models.data.mnist import Dataset, Split
from experiments.models.techniques.fine_tuning import fine_tune
from experiments.compression.pruning.pruning_and_fine_tuning import gradients_on
from experiments.models.sequential.network import forward_numpy, mlp
from experiments.models.techniques.pruning_methods import mask_function
from experiments.models.techniques.prune_weights import apply_masks, total_sparsity
from experiments.models.training.settings import Settings
from experiments.models.training.trainer import Trainer

rng = np.random.default_rng(0)
network = mlp(16, 8, 3)

def made(count):
    images = rng.random((count, 4, 4), np.float32) / 4
    labels = rng.integers(0, 3, count)  # a bright row, a bright column or neither: so also when moved
    images[labels == 0, 1] += 1
    images[labels == 1, :, 1] += 1
    return Split(images.reshape(count, 16), labels)

data, trainer = Dataset(made(320), made(200), made(1), "made"), Trainer(network, batch=8)
weights = trainer.fit(data, Settings(epochs=5, batch=8, rate=0.05)).weights
plan = mask_function(network, "magnitude")
def lists(arrays): return {name: np.asarray(one).tolist() for name, one in arrays.items()}
seen = {"first": lists(apply_masks(weights, plan(weights, 0.75, {})))}

told = []
def tell(*what): told.append(what)
one = fine_tune(trainer, data, weights, plan, 0.75, steps=100, schedule="one_shot", on_step=tell)
captured = trainer._step.captured
seen["one shot"], seen["told"] = lists(one.weights), told
asked = []
def watched(now, amount, within):
    masks = plan(now, amount, within)
    asked.append([amount, total_sparsity(network, apply_masks(now, masks)), bool(within)])
    return masks
gradual = fine_tune(trainer, data, weights, watched, 0.75, steps=100, curve=True)
seen["gradual"], seen["asked"], seen["curve"] = lists(gradual.weights), asked, gradual.curve
seen["masks"] = lists(gradual.masks)
seen["none"] = lists(fine_tune(trainer, data, weights, plan, 0.75, steps=0).weights)
seen["dense"] = lists(fine_tune(trainer, data, weights, plan, 0.0, steps=100).weights)
two_of_four = mask_function(network, "2:4")
seen["n of m"] = lists(fine_tune(trainer, data, weights, two_of_four, 0.5, steps=20, schedule="one_shot").weights)

gradients = gradients_on(network, data.train.first(40), "CPU", 8)
found = gradients(weights)
seen["batches"] = len(found)
def loss(now):
    logits = forward_numpy(network, now, data.train.images[:8])
    odds = np.exp(logits - logits.max(1, keepdims=True))
    return -np.log(odds / odds.sum(1, keepdims=True))[np.arange(8), data.train.labels[:8]].mean()
slopes = []
for name in weights:
    place = np.unravel_index(np.abs(found[0][name]).argmax(), weights[name].shape)
    sides = []
    for move in (1e-4, -1e-4):
        moved = {key: value.astype(np.float64) for key, value in weights.items()}
        moved[name][place] += move
        sides.append(loss(moved))
    slopes.append([float(found[0][name][place]), (sides[0] - sides[1]) / 2e-4])
seen["slopes"] = slopes
for score in ("l2", "taylor", "random"):
    by_units = mask_function(network, f"{score} units", seed=1, gradients=gradients)
    units = fine_tune(trainer, data, weights, by_units, 0.5, steps=60)
    seen[score] = lists(units.weights)
try:
    gradients_on(network, data.train.first(4), "CPU", 8)
except ValueError as error:
    seen["too few"] = str(error)
seen["compiled once"] = trainer._step.captured is captured
print(json.dumps(seen))
"""


@pytest.fixture(scope="module")
def seen():
    command = [sys.executable, "-c", LOOK]
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
def test_half_of_the_units_are_gone_with_all_that_is_theirs(seen, score):
    gone = ~weight(seen, score).any(axis=1)
    assert gone.sum() == 4
    assert not weight(seen, score, 1)[:, gone].any()
    assert not np.array(seen[score]["layers.0.bias"])[gone].any()


def test_gradients_are_the_slopes_of_the_loss(seen):
    assert seen["batches"] == 5
    for gradient, slope in seen["slopes"]:
        assert gradient == pytest.approx(slope, rel=1e-3, abs=1e-5)
    assert seen["too few"] == "4 images do not fill one batch of 8"


def test_every_pruning_uses_the_one_compiled_step(seen):
    assert seen["compiled once"]
