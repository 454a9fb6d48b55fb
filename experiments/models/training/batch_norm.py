"""The bundled cnn with batch normalization: its training and its weights."""

from typing import Any

import numpy as np

from experiments.models import tensor_file
from experiments.models.data.mnist import Dataset
from experiments.models.sequential.batch_norm import (
    PARTS,
    apply_norm,
    check_normed,
    cnn_with_batch_norm,
    convolutions,
    forward_normed,
)
from experiments.models.sequential.forward import initial_weights
from experiments.models.sequential.network import NORMED, Network, Weights
from experiments.models.training.checkpoints import BUNDLED, SUFFIX
from experiments.models.training.feeding import Feeder
from experiments.models.training.settings import Settings

MOMENTUM = 0.1  # of a batch in the running mean and variance
SETTINGS = Settings(epochs=4, rate=4e-3)
FILE = BUNDLED / f"{NORMED}{SUFFIX}"


def load_normed() -> tuple[Network, Weights]:
    """The bundled cnn with batch normalization; `training.train cnn_normed --bundle` trains and writes it."""
    weights, _ = tensor_file.read(FILE)
    network = cnn_with_batch_norm()
    check_normed(network, weights)
    return network, weights


def train_normed(network: Network, data: Dataset, settings: Settings, device: str) -> Weights:
    """Trains with the statistics of each batch, and keeps their running averages for use."""
    from tinygrad import Context, Tensor, TinyJit
    from tinygrad.nn.optim import Adam

    from experiments.bench.tinygrad.runtime import tensor

    made = initial_weights(network, settings.seed)
    for layer, channels in convolutions(network).items():
        made |= {f"{layer}.norm.{part}": np.full(channels, part in ("scale", "variance"), np.float32) for part in PARTS}
    tensors = {name: tensor(values, device) for name, values in made.items()}
    running = {name: tensors[name] for name in tensors if name.endswith((".mean", ".variance"))}
    adam = Adam([one for name, one in tensors.items() if name not in running], lr=settings.rate)

    def step(images: Any, labels: Any, rate: Any) -> Any:
        updates = []

        def normalize(layer: str, x: Any) -> Any:
            mean, variance = x.mean((0, 2, 3)), x.var((0, 2, 3), correction=0)
            for part, seen in (("mean", mean), ("variance", variance)):
                old = running[f"{layer}.norm.{part}"]
                updates.append(old.assign((1 - MOMENTUM) * old + MOMENTUM * seen.detach()))
            return apply_norm(tensors, layer, x, mean, variance)

        adam.lr.assign(rate)
        adam.zero_grad()
        loss = forward_normed(network, tensors, images, normalize).sparse_categorical_crossentropy(labels)
        loss.backward()
        Tensor.realize(loss, *adam.schedule_step(), *updates)
        return loss

    jit, feeder, done = TinyJit(step), Feeder(data.train, settings), 0
    with Context(TRAINING=1):
        for epoch in range(settings.epochs):
            for chunk in feeder.epoch(epoch, feeder.steps):
                for images, labels in zip(chunk.images, chunk.labels, strict=True):
                    rate = settings.rate * (1 - done / (settings.epochs * feeder.steps))
                    given = (images, labels.astype(np.int32), np.array([rate], np.float32))
                    jit(*(tensor(np.ascontiguousarray(one), device) for one in given))
                    done += 1
    return {name: one.numpy() for name, one in tensors.items()}
