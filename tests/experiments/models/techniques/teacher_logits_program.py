"""Run with -m: a teacher's logits by numpy, by tinygrad and from the cache; prints how they compare as JSON."""

import json

import numpy as np

from experiments.models.data.mnist import Split
from experiments.models.sequential.forward import initial_weights
from experiments.models.sequential.network import mlp
from experiments.models.techniques.teacher_logits import cached_teacher_logits, device_teacher_logits
from experiments.models.training.checkpoints import Checkpoint
from experiments.models.training.feeding import teacher_logits
from experiments.models.training.settings import Settings


def main():
    network = mlp(16, 5, 3)
    weights, images = initial_weights(network, 1), np.random.default_rng(0).random((1007, 16), np.float32)
    by_numpy = teacher_logits(network, weights, images, 1)
    by_device = device_teacher_logits(network, weights, images, 1, "CPU")
    teacher = Checkpoint(network, Settings(), weights, [], 0.0, 0.0, 0.0, "CPU")
    split = Split(images, np.zeros(1007, int))
    first, again = (cached_teacher_logits(teacher, split, 1, "CPU") for _ in range(2))
    seen = {
        "shapes": [by_numpy.shape, by_device.shape],
        "difference": float(np.abs(by_numpy - by_device).max()),
        "cached": bool((first == by_numpy).all() and (first == again).all()),
    }
    print(json.dumps(seen))


if __name__ == "__main__":
    main()
