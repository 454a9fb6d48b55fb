"""Batch normalisation behind the convolutions of a network: training it, computing with it, and folding it away.

The weights are those of the network and for each convolution `layers.0.norm.scale`, `.shift`, `.mean` and
`.variance`, one number for each channel. Source: Ioffe & Szegedy 2015, Batch Normalization.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from experiments.bench.arrays import Array
from experiments.models.data.mnist import Dataset
from experiments.models.format import tensor_file
from experiments.models.sequential.network import (
    Conv,
    Network,
    Weights,
    apply_tinygrad,
    cnn,
    image_chunks,
    initial_weights,
    pool_numpy,
    product_numpy,
)
from experiments.models.training.checkpoints import BUNDLED
from experiments.models.training.feeding import Feeder
from experiments.models.training.settings import Settings

EPSILON = 1e-5
MOMENTUM = 0.1  # of a batch in the running mean and variance
PARTS = ("scale", "shift", "mean", "variance")
NAME = "cnn_normed"
SETTINGS = Settings(epochs=4, rate=4e-3)
Normalise = Callable[[str, Any], Any]


def convolutions(network: Network) -> dict[str, int]:
    """The layers that are followed by a normalisation, and their channels."""
    return {place.name: place.layer.outputs for place in network.walk() if isinstance(place.layer, Conv)}


def check_normed(network: Network, weights: Mapping[str, Array]) -> None:
    """ValueError with one line where the numbers of a normalisation are missing, misshapen or cannot be."""
    for layer, channels in convolutions(network).items():
        for part in PARTS:
            values = weights.get(f"{layer}.norm.{part}")
            if values is None or values.shape != (channels,) or not np.isfinite(values).all():
                raise ValueError(f"{layer}.norm.{part} is not {channels} finite numbers")
        if (weights[f"{layer}.norm.variance"] < 0).any():
            raise ValueError(f"{layer}.norm.variance holds a negative variance")


def fold(network: Network, weights: Mapping[str, Array]) -> Weights:
    """The weights of the plain network that computes the same: normalisation becomes part of weight and bias.

    In float64 on the way, rounded to float32 once.
    """
    check_normed(network, weights)
    folded = {name: weights[name] for name in network.shapes()}
    for layer in convolutions(network):
        scale, shift, mean, variance = (weights[f"{layer}.norm.{part}"].astype(np.float64) for part in PARTS)
        factor = scale / np.sqrt(variance + EPSILON)
        weight, bias = weights[f"{layer}.weight"], weights[f"{layer}.bias"]
        folded[f"{layer}.weight"] = (weight * factor.reshape(-1, 1, 1, 1)).astype(np.float32)
        folded[f"{layer}.bias"] = ((bias - mean) * factor + shift).astype(np.float32)
    return folded


def forward_normed_numpy(network: Network, weights: Mapping[str, Array], images: Array) -> Array:
    """Logits (n, classes) of images (n, pixels), every normalisation computed as it stands."""
    return np.concatenate([_forward_chunk(network, weights, chunk) for chunk in image_chunks(network, images)])


def _forward_chunk(network: Network, weights: Mapping[str, Array], x: Array) -> Array:
    for place in network.walk():
        layer, named = place.layer, isinstance(place.layer, Conv)
        x = x.reshape(len(x), *(place.input_shape if named else (-1,)))
        x = product_numpy(layer, weights[place.weight], x)
        x = x + weights[place.bias].reshape(-1, *[1] * (x.ndim - 2))
        if named:
            parts = (weights[f"{place.name}.norm.{part}"].reshape(-1, 1, 1) for part in PARTS)
            scale, shift, mean, variance = parts
            x = (x - mean) / np.sqrt(variance + np.float32(EPSILON)) * scale + shift
        x = pool_numpy(layer, np.maximum(x, 0) if layer.relu else x)
    return x


def build_normed(network: Network, weights: Mapping[str, Array], device: str) -> Callable[[Any], Any]:
    """The network as a function of a realised float32 tensor (n, pixels), normalisation inside its kernels."""
    from experiments.bench.tinygrad.runtime import tensor

    check_normed(network, weights)
    held = {name: tensor(values, device) for name, values in weights.items()}

    def normalise(layer: str, x: Any) -> Any:
        return _normalised(held, layer, x, held[f"{layer}.norm.mean"], held[f"{layer}.norm.variance"])

    return lambda x: forward_normed(network, held, x, normalise).realize()


def forward_normed(network: Network, tensors: Mapping[str, Any], x: Any, normalise: Normalise) -> Any:
    """Logits of a tinygrad tensor of images (n, pixels), with `normalise(layer, x)` behind each convolution."""
    for place in network.walk():
        layer, weight, bias = place.layer, tensors[place.weight], tensors[place.bias]
        if not isinstance(layer, Conv):
            x = apply_tinygrad(layer, weight, bias, x.reshape(x.shape[0], -1))
            continue
        x = x.reshape(x.shape[0], *place.input_shape)
        x = x.conv2d(weight, bias, stride=layer.stride, padding=layer.padding)
        x = normalise(place.name, x)
        x = (x.relu() if layer.relu else x).contiguous()
        match layer.pool:
            case "average":
                x = x.mean((2, 3)).contiguous()
            case "max2":
                x = x.max_pool2d(2).contiguous()
    return x


def _normalised(tensors: Mapping[str, Any], layer: str, x: Any, mean: Any, variance: Any) -> Any:
    scale, shift = (tensors[f"{layer}.norm.{part}"].reshape(1, -1, 1, 1) for part in ("scale", "shift"))
    return (x - mean.reshape(1, -1, 1, 1)) / (variance.reshape(1, -1, 1, 1) + EPSILON).sqrt() * scale + shift


def load_normed() -> tuple[Network, Weights]:
    """The carried cnn with batch normalisation; `python -m experiments.models.training.train_batch_norm` made it."""
    weights, _ = tensor_file.read(BUNDLED / f"{NAME}.safetensors")
    network = dataclasses.replace(cnn(), name=NAME)
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
    held = {name: tensor(values, device) for name, values in made.items()}
    running = {name: held[name] for name in held if name.endswith((".mean", ".variance"))}
    adam = Adam([one for name, one in held.items() if name not in running], lr=settings.rate)

    def step(images: Any, labels: Any, rate: Any) -> Any:
        updates = []

        def normalise(layer: str, x: Any) -> Any:
            mean, variance = x.mean((0, 2, 3)), x.var((0, 2, 3), correction=0)
            for part, seen in (("mean", mean), ("variance", variance)):
                old = running[f"{layer}.norm.{part}"]
                updates.append(old.assign((1 - MOMENTUM) * old + MOMENTUM * seen.detach()))
            return _normalised(held, layer, x, mean, variance)

        adam.lr.assign(rate)
        adam.zero_grad()
        loss = forward_normed(network, held, images, normalise).sparse_categorical_crossentropy(labels)
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
    return {name: one.numpy() for name, one in held.items()}
