"""Which layers can do with fewer bits: each quantized alone, every level from the original weights."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from experiments.bench.arrays import Array
from experiments.models.format.packed import layer_bytes
from experiments.models.sequential.network import LayerNode, Linear, Network, apply_numpy, check_weights, image_chunks
from experiments.models.techniques.quantization.post_training import (
    Calibration,
    QuantSpec,
    activation_qparams,
    weight_qparams,
)

Choice = tuple[tuple[str, int], ...]

WEIGHT_ONLY = QuantSpec("weight_only")
FLOATS = QuantSpec("float32")


@dataclass(frozen=True)
class Sensitivity:
    """One layer at `bits` bits, all others float32.

    `drop` and `loss_rise` are against the float network: accuracy lost (0..1) and mean cross-entropy gained (nats).
    `bytes` is the layer in the file, `saved_bytes` what that is less than in float32.
    """

    layer: str
    bits: int
    accuracy: float
    drop: float
    loss_rise: float
    bytes: int
    saved_bytes: int


class Score:
    """Accuracy and mean cross-entropy of logits that come in parts."""

    def __init__(self) -> None:
        self._right, self._loss, self._count = 0, 0.0, 0

    def add(self, logits: Array, labels: Array) -> None:
        """Counts the logits (n, classes) of images with these labels."""
        shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
        own = shifted[np.arange(len(labels)), labels]
        self._loss += float((np.log(np.exp(shifted).sum(axis=1)) - own).sum())
        self._right += int((logits.argmax(axis=1) == labels).sum())
        self._count += len(labels)

    @property
    def accuracy(self) -> float:
        """The share of right answers, 0..1."""
        return self._right / self._count

    @property
    def loss(self) -> float:
        """The mean cross-entropy in nats."""
        return self._loss / self._count


class FakeLayers:
    """The layers of a network in float32 and fake-quantized to each of `bits`, to be put together at will.

    A static `spec` quantizes the input of a quantized layer too, and needs the calibration.
    """

    def __init__(
        self,
        network: Network,
        weights: Mapping[str, Array],
        bits: Sequence[int],
        spec: QuantSpec,
        calibration: Calibration | None,
    ) -> None:
        check_weights(network, weights)
        if spec.is_float or spec.scheme == "dynamic" or (spec.scheme == "static" and calibration is None):
            raise ValueError(
                f"scheme: {spec.scheme} cannot be tried layer by layer; give weight_only, or static calibrated"
            )
        self.places, self._weights = network.walk(), weights
        self._fake: dict[tuple[str, int], Array] = {}
        for place in self.places:
            for one in bits:
                grid = weight_qparams(place.name, weights[place.weight], replace(spec, weight_bits=one, layer_bits=()))
                self._fake[place.name, one] = grid.dequantize(grid.quantize(weights[place.weight]))
        inputs = calibration.inputs if calibration and spec.scheme == "static" else {}
        self._inputs = {name: activation_qparams(seen, spec) for name, seen in inputs.items()}

    def run(self, place: LayerNode, bits: int | None, x: Array) -> Array:
        """One layer's output for a part of the images; float32 where `bits` is None."""
        weight = self._weights[place.weight] if bits is None else self._fake[place.name, bits]
        x = x.reshape(len(x), *((-1,) if isinstance(place.layer, Linear) else place.input_shape))
        if bits is not None and place.name in self._inputs:
            grid = self._inputs[place.name]
            x = grid.dequantize(grid.quantize(x))
        return apply_numpy(place.layer, weight, self._weights[place.bias], x)


def sensitivity(
    network: Network,
    weights: Mapping[str, Array],
    bits: Sequence[int],
    images: Array,
    labels: Array,
    spec: QuantSpec = WEIGHT_ONLY,
    calibration: Calibration | None = None,
) -> list[Sensitivity]:
    """Every layer at every number of `bits`, alone; `spec`, weight_only or static, says how, its bits aside.

    Choose on validation images. Of each part of the images only the layers from the quantized one on are run again.
    """
    fakes = FakeLayers(network, weights, bits, spec, calibration)
    base, alone = Score(), {(place.name, one): Score() for place in fakes.places for one in bits}
    for x, answers in labelled(network, images, labels):
        for number, place in enumerate(fakes.places):
            for one in bits:
                y = fakes.run(place, one, x)
                for later in fakes.places[number + 1 :]:
                    y = fakes.run(later, None, y)
                alone[place.name, one].add(y, answers)
            x = fakes.run(place, None, x)
        base.add(x, answers)
    return [_record(place, spec, one, base, alone[place.name, one]) for place in fakes.places for one in bits]


def labelled(network: Network, images: Array, labels: Array) -> list[tuple[Array, Array]]:
    """Float32 images in parts that fit the memory, each with its labels."""
    parts = image_chunks(network, images.astype(np.float32))
    ends = np.cumsum([len(part) for part in parts])[:-1]
    return list(zip(parts, np.split(labels, ends), strict=True))


def bytes_at(place: LayerNode, spec: QuantSpec, bits: int) -> int:
    """The bytes of a layer in the file at `bits` bits."""
    return layer_bytes(place, replace(spec, weight_bits=bits, layer_bits=()))


def _record(place: LayerNode, spec: QuantSpec, bits: int, base: Score, alone: Score) -> Sensitivity:
    size = bytes_at(place, spec, bits)
    return Sensitivity(
        layer=place.name,
        bits=bits,
        accuracy=alone.accuracy,
        drop=base.accuracy - alone.accuracy,
        loss_rise=alone.loss - base.loss,
        bytes=size,
        saved_bytes=layer_bytes(place, FLOATS) - size,
    )
