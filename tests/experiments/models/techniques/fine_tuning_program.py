"""Run with -m: fine-tuning of one tiny network by every schedule and score; prints what a test compares as JSON."""

import json

import numpy as np

from experiments.compression.pruning.pruning_and_fine_tuning import gradients_on
from experiments.models.data.mnist import Dataset, Split
from experiments.models.sequential.forward import forward_numpy
from experiments.models.sequential.network import mlp
from experiments.models.techniques.fine_tuning import fine_tune
from experiments.models.techniques.prune_weights import apply_masks, total_sparsity
from experiments.models.techniques.pruning_methods import mask_function
from experiments.models.training.settings import Settings
from experiments.models.training.trainer import Trainer


def main():
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

    def lists(arrays):
        return {name: np.asarray(one).tolist() for name, one in arrays.items()}

    seen = {"first": lists(apply_masks(weights, plan(weights, 0.75, {})))}

    told = []

    def tell(*what):
        told.append(what)

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

    gradients = gradients_on(network, data.train.first(80), "CPU")
    found = gradients(weights)
    seen["batches"] = len(found)

    def loss(now):
        logits = forward_numpy(network, now, data.train.images[:32])
        odds = np.exp(logits - logits.max(1, keepdims=True))
        return -np.log(odds / odds.sum(1, keepdims=True))[np.arange(32), data.train.labels[:32]].mean()

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
        gradients_on(network, data.train.first(4), "CPU")
    except ValueError as error:
        seen["too few"] = str(error)
    seen["compiled once"] = trainer._step.captured is captured
    print(json.dumps(seen))


if __name__ == "__main__":
    main()
