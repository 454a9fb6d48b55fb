"""Sensitivity of each layer to fewer weight bits: quantized alone, every level from the original weights."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from experiments.bench.arrays import Array
from experiments.models.format.packed import layer_bytes
from experiments.models.sequential.forward import apply_numpy, check_weights, image_chunks
from experiments.models.sequential.network import LayerNode, Linear, Network
from experiments.models.techniques.quantization.post_training import weight_qparams
from experiments.models.techniques.quantization.spec import QuantSpec

WEIGHT_ONLY = QuantSpec("weight_only")
FLOATS = QuantSpec("float32")


@dataclass(frozen=True)
class LayerSensitivity:
    """One layer at `bits` bits, all others float32.

    `drop` and `loss_rise` are against the float network: accuracy lost (0..1) and rise of the mean cross-entropy
    (nats). `bytes`: size of the layer in the file; `saved_bytes`: by how much it is below float32.
    """

    layer: str
    bits: int
    accuracy: float
    drop: float
    loss_rise: float
    bytes: int
    saved_bytes: int


class RunningMetrics:
    """Accuracy and mean cross-entropy over batches of logits."""

    def __init__(self) -> None:
        self._correct, self._loss, self._count = 0, 0.0, 0

    def add(self, logits: Array, labels: Array) -> None:
        """Adds a batch of logits (n, classes) with its labels."""
        shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
        target = shifted[np.arange(len(labels)), labels]
        self._loss += float((np.log(np.exp(shifted).sum(axis=1)) - target).sum())
        self._correct += int((logits.argmax(axis=1) == labels).sum())
        self._count += len(labels)

    @property
    def accuracy(self) -> float:
        """Top-1, 0..1."""
        return self._correct / self._count

    @property
    def loss(self) -> float:
        """The mean cross-entropy in nats."""
        return self._loss / self._count


class FakeQuantizedLayers:
    """The layers of a network in float32 and with weights fake-quantized to each of `bits`, run one at a time."""

    def __init__(self, network: Network, weights: Mapping[str, Array], bits: Sequence[int]) -> None:
        check_weights(network, weights)
        self.places, self._weights = network.walk(), weights
        self._fake: dict[tuple[str, int], Array] = {}
        for place in self.places:
            for level in bits:
                qparams = weight_qparams(place.name, weights[place.weight], replace(WEIGHT_ONLY, weight_bits=level))
                self._fake[place.name, level] = qparams.dequantize(qparams.quantize(weights[place.weight]))

    def run(self, place: LayerNode, bits: int | None, x: Array) -> Array:
        """The output of one layer for a batch of its inputs; float32 where `bits` is None."""
        weight = self._weights[place.weight] if bits is None else self._fake[place.name, bits]
        x = x.reshape(len(x), *((-1,) if isinstance(place.layer, Linear) else place.input_shape))
        return apply_numpy(place.layer, weight, self._weights[place.bias], x)


def layer_sensitivities(
    network: Network, weights: Mapping[str, Array], bits: Sequence[int], images: Array, labels: Array
) -> list[LayerSensitivity]:
    """The sensitivity of every layer at every number of `bits`, weight-only; choose bits on validation images.

    For each batch only the quantized layer and those after it are run again.
    """
    layers = FakeQuantizedLayers(network, weights, bits)
    base, alone = RunningMetrics(), {(place.name, level): RunningMetrics() for place in layers.places for level in bits}
    for x, expected in labeled_batches(network, images, labels):
        for number, place in enumerate(layers.places):
            for level in bits:
                y = layers.run(place, level, x)
                for later in layers.places[number + 1 :]:
                    y = layers.run(later, None, y)
                alone[place.name, level].add(y, expected)
            x = layers.run(place, None, x)
        base.add(x, expected)
    return [_sensitivity(place, level, base, alone[place.name, level]) for place in layers.places for level in bits]


def labeled_batches(network: Network, images: Array, labels: Array) -> list[tuple[Array, Array]]:
    """Float32 images in batches that fit in memory, each with its labels."""
    batches = image_chunks(network, images.astype(np.float32))
    ends = np.cumsum([len(batch) for batch in batches])[:-1]
    return list(zip(batches, np.split(labels, ends), strict=True))


def bytes_at(place: LayerNode, bits: int) -> int:
    """The size of a layer in the file at `bits` bits."""
    return layer_bytes(place, replace(WEIGHT_ONLY, weight_bits=bits))


def _sensitivity(place: LayerNode, bits: int, base: RunningMetrics, alone: RunningMetrics) -> LayerSensitivity:
    size = bytes_at(place, bits)
    return LayerSensitivity(
        layer=place.name,
        bits=bits,
        accuracy=alone.accuracy,
        drop=base.accuracy - alone.accuracy,
        loss_rise=alone.loss - base.loss,
        bytes=size,
        saved_bytes=layer_bytes(place, FLOATS) - size,
    )
