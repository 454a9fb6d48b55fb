"""Run with -m: networks in tinygrad against numpy; prints the errors as JSON."""

import json

import numpy as np
from tinygrad import Tensor

from experiments.models.sequential.forward import forward_numpy, forward_tinygrad, initial_weights
from experiments.models.sequential.network import cnn, lenet_5, mlp


def relative_error(network, images):
    """The largest error of tinygrad's logits, relative to the largest logit."""
    weights = {name: one + np.float32(0.01) for name, one in initial_weights(network, 0).items()}
    tensors = {name: Tensor(one) for name, one in weights.items()}
    logits = forward_tinygrad(network, tensors, Tensor(images)).numpy()
    reference = forward_numpy(network, {name: one.astype(np.float64) for name, one in weights.items()}, images)
    return float(np.abs(logits - reference).max() / np.abs(reference).max())


def main():
    images = np.random.default_rng(0).random((9, 784), np.float32).reshape(3, 3, 784)
    networks = (mlp(), cnn(4, 6), lenet_5(3, 5, 7))
    seen = {network.name: relative_error(network, one) for network, one in zip(networks, images, strict=True)}
    print(json.dumps(seen))


if __name__ == "__main__":
    main()
