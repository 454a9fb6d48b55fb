"""A network padded to widths at which tinygrad's kernels are fast; the additional weights are zero.

A width of 300 runs at half the speed of 304, since the compiler unrolls by a divisor of the width. Padding units
have only zero weights, so that the network computes the same. No tinygrad here, so that tests can run it.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np

from experiments.bench.arrays import Array
from experiments.models.sequential.network import Conv, Layer, Network, Weights

LINEAR_MULTIPLE, CHANNEL_MULTIPLE = 16, 4  # measured on the CPU device with tinygrad 0.14.0


def padded(network: Network) -> Network:
    """The network with the outputs of every layer, the last one too, rounded up; images are not padded."""
    layers: list[Layer] = []
    shape = network.image
    for node in network.walk():
        layer = node.layer
        multiple = CHANNEL_MULTIPLE if isinstance(layer, Conv) else LINEAR_MULTIPLE
        inputs = shape[0] if isinstance(layer, Conv) else int(np.prod(shape))
        layers.append(dataclasses.replace(layer, inputs=inputs, outputs=-(-layer.outputs // multiple) * multiple))
        shape = layers[-1].output_shape(shape)
    return Network(network.name, tuple(layers), network.image)


def pad(network: Network, arrays: Mapping[str, Array]) -> Weights:
    """Arrays in the shapes of the network's weights, zero-padded to the shapes of `padded(network)`.

    Channels come first wherever an image is flattened, so the zeros are always the last columns.
    """
    wide: Weights = {}
    for name, shape in padded(network).shapes().items():
        wide[name] = np.zeros(shape, np.float32)
        wide[name][tuple(slice(size) for size in arrays[name].shape)] = arrays[name]
    return wide


def unpad(network: Network, wide: Mapping[str, Array]) -> Weights:
    """The inverse of `pad`."""
    return {name: wide[name][tuple(slice(size) for size in shape)].copy() for name, shape in network.shapes().items()}
