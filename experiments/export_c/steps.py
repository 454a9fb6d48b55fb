"""The steps from an ExportSpec to the network that is exported: trained, folded, pruned, quantized."""

import dataclasses
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from experiments.bench.arrays import Array
from experiments.bench.machine.toolchain import cache_folder
from experiments.export_c.spec import ExportSpec
from experiments.models import builder, tensor_file
from experiments.models.builder import CALIBRATION_IMAGES, BuildProgress
from experiments.models.data.mnist import Dataset, mnist
from experiments.models.recipe import full_network, pruned_network
from experiments.models.sequential import batch_norm
from experiments.models.sequential.forward import check_weights
from experiments.models.sequential.network import NORMED, Network, Weights
from experiments.models.techniques.prune_units import layer_widths
from experiments.models.techniques.quantization.post_training import QuantizedNetwork, calibrate, quantize
from experiments.models.techniques.quantization.spec import QuantSpec
from experiments.models.training.batch_norm import load_normed

LANES = 16  # interleaved partial sums of a float32 product: C compilers may not reorder float sums themselves
FLOAT = QuantSpec("float32")
ROUNDING = 1e-5  # of the largest logit


@dataclass(frozen=True, eq=False)
class ExportStep:
    """One step: its name, a description of its result, and the network after it.

    `quantized` is None only for a network whose batch normalization is not folded.
    """

    name: str
    description: str
    accuracy: float
    network: Network
    quantized: QuantizedNetwork | None
    weights: Weights

    def build(self, device: str) -> Callable[[Any], Any]:
        """The network as a tinygrad function on `device`, to be captured at batch 1."""
        from experiments.models.techniques.quantization.tinygrad_backend import build_forward

        if self.quantized is None:
            return batch_norm.build_normed(self.network, self.weights, device)
        return build_forward(self.quantized, device, LANES if self.quantized.spec.scheme != "static" else 1)

    @property
    def is_float(self) -> bool:
        """Whether weights and arithmetic are float32."""
        return self.quantized is None or self.quantized.spec == FLOAT

    @property
    def noopt(self) -> bool:
        """Whether tinygrad leaves the loops as they are: C compilers vectorize integer sums better than it does."""
        return self.quantized is not None and self.quantized.spec.scheme == "static"

    def logits(self, images: Array) -> Array:
        """Float32 logits of images (n, pixels), computed in numpy with this step's arithmetic."""
        from experiments.models.techniques.quantization.numpy_backend import logits_numpy

        if self.quantized is None:
            return batch_norm.forward_normed_numpy(self.network, self.weights, images)
        return logits_numpy(self.quantized, images)


def steps(spec: ExportSpec, device: str, progress: BuildProgress) -> list[ExportStep]:
    """All steps, from the trained network to the exported one. What is not cached is trained on `device`."""
    data = mnist()
    done = [_trained(spec, data, device, progress)]
    network, weights = done[0].network, done[0].weights
    if spec.network == NORMED and spec.fold:
        weights = batch_norm.fold(network, weights)
        folded = _float("fold batch norm", "into the convolution before it", network, weights, data)
        error = _checked_same(done[-1], folded, data)
        text = f"{folded.description}; a logit changes by {error:.1g} at most"
        done.append(dataclasses.replace(folded, description=text))
    if spec.recipe.is_pruned:
        network, weights = _pruned(spec, network, weights, device, progress)
        texts = [f"{layer_widths(network)} outputs remain"] if spec.width < 1 else []
        texts += [f"{spec.sparsity:.0%} of the weights are 0"] if spec.sparsity else []
        done.append(_float("prune", " and ".join(texts), network, weights, data))
    if spec.quant != FLOAT:
        calibration = calibrate(network, weights, data.train.first(CALIBRATION_IMAGES).images)
        quantized = quantize(network, weights, spec.quant, calibration)
        done.append(_step("quantise", spec.label, network, quantized, weights, data))  # a stored value: not respelled
    return done


def _trained(spec: ExportSpec, data: Dataset, device: str, progress: BuildProgress) -> ExportStep:
    if spec.network == NORMED:
        network, weights = load_normed()
        return _step("train", "float32, batch norm not folded", network, None, weights, data)
    recipe = spec.recipe.unpruned
    network, weights = full_network(recipe), builder.float32_weights(recipe, device, progress)
    text = "float32, distilled from a larger network" if spec.distilled else "float32"
    return _float("train", text, network, weights, data)


def _pruned(
    spec: ExportSpec, network: Network, weights: Weights, device: str, progress: BuildProgress
) -> tuple[Network, Weights]:
    """The pruned network as every use of its recipe has it; cached on disk."""
    if spec.network != NORMED:
        return pruned_network(spec.recipe), builder.float32_weights(spec.recipe, device, progress)
    small = dataclasses.replace(pruned_network(spec.recipe), name=network.name)
    file = cache_folder() / "edge" / f"{network.name}-{_cache_key(weights, spec)}.safetensors"
    if file.exists():
        cached, _ = tensor_file.read(file)
        check_weights(small, cached)
        return small, cached
    pruned = builder.prune(spec.recipe, network, weights, device, progress)
    file.parent.mkdir(parents=True, exist_ok=True)
    tensor_file.write(file, pruned, {})
    return small, pruned


def _cache_key(unpruned: Weights, spec: ExportSpec) -> str:
    """Hash of the weights before pruning, the recipe, and the versions of the techniques."""
    digest = hashlib.sha256(tensor_file.encode(dict(sorted(unpruned.items()))))
    digest.update(json.dumps([spec.recipe.unquantized.json(), builder.technique_versions(spec.recipe)]).encode())
    return digest.hexdigest()[:16]


def _float(name: str, description: str, network: Network, weights: Weights, data: Dataset) -> ExportStep:
    return _step(name, description, network, quantize(network, weights, FLOAT), weights, data)


def _step(
    name: str, description: str, network: Network, quantized: QuantizedNetwork | None, weights: Weights, data: Dataset
) -> ExportStep:
    step = ExportStep(name, description, 0.0, network, quantized, weights)
    accuracy = float((step.logits(data.test.images).argmax(axis=1) == data.test.labels).mean())
    return dataclasses.replace(step, accuracy=accuracy)


def _checked_same(before: ExportStep, after: ExportStep, data: Dataset) -> float:
    """The largest change of a logit between two equivalent steps; raises ValueError if it exceeds float32 rounding."""
    images = data.validation.images[:CALIBRATION_IMAGES]
    expected = before.logits(images)
    error = float(np.abs(after.logits(images) - expected).max())
    if error > ROUNDING * float(np.abs(expected).max()):
        raise ValueError(f"{after.name}: a logit changed by {error:.3g}; the outputs must stay the same")
    return error
