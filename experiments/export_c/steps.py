"""From a choice to the network that is exported: trained, folded, pruned, quantized, step by step."""

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
from experiments.models.data.mnist import Dataset, mnist
from experiments.models.recipe import full_network, pruned_network
from experiments.models.sequential import batch_norm
from experiments.models.sequential.network import Network, Weights, check_weights
from experiments.models.techniques.prune_units import layer_widths
from experiments.models.techniques.quantization.post_training import QuantizedNetwork, calibrate, quantize
from experiments.models.techniques.quantization.spec import QuantSpec
from experiments.models.training.batch_norm import load_normed

Progress = Callable[[float, str], None]

CALIBRATION_IMAGES = 512
LANES = 16  # partial sums of a float32 product: C compilers may not make them themselves
FLOAT = QuantSpec("float32")
ROUNDING = 1e-5  # of the largest logit


@dataclass(frozen=True, eq=False)
class ExportStep:
    """One step towards the program: its name, and the network after it as a function of one float32 image row."""

    name: str
    what: str
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
        """Whether weights and arithmetic are still float32."""
        return self.quantized is None or self.quantized.spec == FLOAT

    @property
    def noopt(self) -> bool:
        """Whether loops stay as they are: C compilers make vectors of integer sums, and better ones than tinygrad."""
        return self.quantized is not None and self.quantized.spec.scheme == "static"

    def logits(self, images: Array) -> Array:
        """Float32 logits of images (n, pixels) in numpy, with this step's own arithmetic."""
        from experiments.models.techniques.quantization.numpy_backend import logits_numpy

        if self.quantized is None:
            return batch_norm.forward_normed_numpy(self.network, self.weights, images)
        return logits_numpy(self.quantized, images)


def steps(choice: ExportSpec, device: str, progress: Progress) -> list[ExportStep]:
    """All steps of a choice, the trained network first, what is exported last; trains on `device` where it must."""
    data = mnist()
    network, weights, made = _trained(choice, data, device, progress)
    if choice.network == batch_norm.NAME and choice.fold:
        weights = batch_norm.fold(network, weights)
        folded = _float("fold batch norm", "into the convolution before it", network, weights, data)
        error = _checked_same(made[-1], folded, data)
        made.append(dataclasses.replace(folded, what=f"{folded.what}; a logit changes by {error:.1g} at most"))
    if choice.recipe.is_pruned:
        network, weights = _pruned(choice, network, weights, device, progress)
        said = [f"{layer_widths(network)} outputs are left"] if choice.width < 1 else []
        said += [f"{choice.sparsity:.0%} of the weights are 0"] if choice.sparsity else []
        made.append(_float("prune", " and ".join(said), network, weights, data))
    if choice.quant != FLOAT:
        calibration = calibrate(network, weights, data.train.first(CALIBRATION_IMAGES).images)
        quantized = quantize(network, weights, choice.quant, calibration)
        made.append(_step("quantise", choice.label, network, quantized, weights, data))
    return made


def _trained(
    choice: ExportSpec, data: Dataset, device: str, progress: Progress
) -> tuple[Network, Weights, list[ExportStep]]:
    if choice.network == batch_norm.NAME:
        network, weights = load_normed()
        what = "float32, batch norm computed as it stands"
        return network, weights, [_step("train", what, network, None, weights, data)]
    recipe = choice.recipe.unpruned
    network, weights = full_network(recipe), builder.float32_weights(recipe, device, progress)
    what = "float32, on a larger network's answers" if choice.distilled else "float32"
    return network, weights, [_float("train", what, network, weights, data)]


def _pruned(
    choice: ExportSpec, network: Network, weights: Weights, device: str, progress: Progress
) -> tuple[Network, Weights]:
    """The thinned network, the same as everywhere else that its recipe is made; done once on a machine."""
    if choice.network != batch_norm.NAME:
        return pruned_network(choice.recipe), builder.float32_weights(choice.recipe, device, progress)
    small = dataclasses.replace(pruned_network(choice.recipe), name=network.name)
    file = cache_folder() / "edge" / f"{network.name}-{_key(weights, choice)}.safetensors"
    if file.exists():
        kept, _ = tensor_file.read(file)
        check_weights(small, kept)
        return small, kept
    left = builder.prune(choice.recipe, network, weights, device, progress)
    file.parent.mkdir(parents=True, exist_ok=True)
    tensor_file.write(file, left, {})
    return small, left


def _key(start: Weights, choice: ExportSpec) -> str:
    """Stands for the weights before anything is taken away, for what is, and for the code that does it."""
    digest = hashlib.sha256(tensor_file.encode(dict(sorted(start.items()))))
    digest.update(json.dumps([choice.recipe.unquantized.json(), builder.technique_versions(choice.recipe)]).encode())
    return digest.hexdigest()[:16]


def _float(name: str, what: str, network: Network, weights: Weights, data: Dataset) -> ExportStep:
    return _step(name, what, network, quantize(network, weights, FLOAT), weights, data)


def _step(
    name: str, what: str, network: Network, quantized: QuantizedNetwork | None, weights: Weights, data: Dataset
) -> ExportStep:
    step = ExportStep(name, what, 0.0, network, quantized, weights)
    accuracy = float((step.logits(data.test.images).argmax(axis=1) == data.test.labels).mean())
    return ExportStep(name, what, accuracy, network, quantized, weights)


def _checked_same(before: ExportStep, after: ExportStep, data: Dataset) -> float:
    """How much a step that may change nothing changes a logit; ValueError where that is more than float32 rounding."""
    images = data.validation.images[:CALIBRATION_IMAGES]
    wanted = before.logits(images)
    error = float(np.abs(after.logits(images) - wanted).max())
    if error > ROUNDING * float(np.abs(wanted).max()):
        raise ValueError(f"{after.name}: a logit changed by {error:.3g}; the outputs must stay the same")
    return error
