"""Gradients of a network's loss on given images, a few images at a time, by tinygrad (0.14.0)."""

from collections.abc import Callable, Mapping

import numpy as np

from experiments.bench.arrays import Array
from experiments.models.data.mnist import Split
from experiments.models.sequential.network import Network, Weights, forward_tinygrad


def gradients_on(
    network: Network, split: Split, device: str, batch: int = 32
) -> Callable[[Mapping[str, Array]], list[Weights]]:
    """A function from weights to the gradients of the cross entropy, one mapping for each `batch` of images.

    Images that fill no batch are left out; ValueError where none is left. It is compiled once, at its first call.
    """
    from tinygrad import Tensor, TinyJit

    from experiments.bench.tinygrad.runtime import tensor

    if len(split) < batch:
        raise ValueError(f"{len(split)} images do not fill one batch of {batch}")
    held = {name: tensor(np.zeros(shape, np.float32), device) for name, shape in network.shapes().items()}

    def gradients_of(images: Tensor, labels: Tensor) -> list[Tensor]:
        loss = forward_tinygrad(network, held, images).sparse_categorical_crossentropy(labels)
        return [gradient.realize() for gradient in loss.gradient(*held.values())]

    one = TinyJit(gradients_of)

    def gradients(weights: Mapping[str, Array]) -> list[Weights]:
        for name, buffer in held.items():
            buffer.assign(tensor(np.ascontiguousarray(weights[name], np.float32), device)).realize()
        found = []
        for start in range(0, len(split) - batch + 1, batch):
            images = tensor(split.images[start : start + batch], device)
            labels = tensor(split.labels[start : start + batch].astype(np.int32), device)
            found.append(dict(zip(held, (each.numpy() for each in one(images, labels)), strict=True)))
        return found

    return gradients
