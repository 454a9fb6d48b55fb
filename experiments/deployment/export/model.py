"""From a choice to the network that is exported: trained, folded, pruned, quantized, step by step."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from experiments.bench.toolchain import cache_folder
from experiments.deployment.export.choice import ChoiceSpec
from experiments.models import normed, tensorfile
from experiments.models.checkpoints import load
from experiments.models.datasets import Dataset, mnist
from experiments.models.making import make
from experiments.models.networks import NETWORKS, Network, Weights, check
from experiments.models.quantizing import Quantized, QuantSpec, calibrate, quantize
from experiments.models.recipes import Recipe, build
from experiments.models.shrinking import keep_units, shrink, structure

Array = np.ndarray[Any, Any]
Progress = Callable[[float, str], None]

CALIBRATION_IMAGES = 512
LANES = 16  # partial sums of a float32 product: C compilers may not make them themselves
FLOAT = QuantSpec("float32")
ROUNDING = 1e-5  # of the largest logit


@dataclass(frozen=True, eq=False)
class Step:
    """One step towards the program: its name, and the network after it as a function of one float32 image row."""

    name: str
    what: str
    accuracy: float
    network: Network
    quantized: Quantized | None
    weights: Weights

    def build(self, device: str) -> Callable[[Any], Any]:
        """The network as a tinygrad function on `device`, to be captured at batch 1."""
        from experiments.models.integer_kernels import build

        if self.quantized is None:
            return normed.build_normed(self.network, self.weights, device)
        return build(self.quantized, device, LANES if self.quantized.spec.scheme != "static" else 1)

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
        from experiments.models.integer import logits_numpy

        if self.quantized is None:
            return normed.forward_normed_numpy(self.network, self.weights, images)
        return logits_numpy(self.quantized, images)


def steps(choice: ChoiceSpec, device: str, progress: Progress) -> list[Step]:
    """All steps of a choice, the trained network first, what is exported last; trains on `device` where it must."""
    data = mnist()
    network, weights, made = _trained(choice, data)
    if choice.network == normed.NAME and choice.fold:
        weights = normed.fold(network, weights)
        made.append(_float("fold batch norm", "into the convolution before it", network, weights, data))
        _check_same(made[-2], made[-1], data)
    if choice.width < 1 or choice.sparsity:
        network, weights = _pruned(network, weights, choice, data, device, progress)
        said = [f"{structure(network)} outputs are left"] if choice.width < 1 else []
        said += [f"{choice.sparsity:.0%} of the weights are 0"] if choice.sparsity else []
        made.append(_float("prune", " and ".join(said), network, weights, data))
    if choice.quant != FLOAT:
        calibration = calibrate(network, weights, data.train.first(CALIBRATION_IMAGES).images)
        quantized = quantize(network, weights, choice.quant, calibration)
        made.append(_step("quantise", choice.label, network, quantized, weights, data))
    return made


def _trained(choice: ChoiceSpec, data: Dataset) -> tuple[Network, Weights, list[Step]]:
    if choice.network == normed.NAME:
        network, weights = normed.load_normed()
        what = "float32, batch norm computed as it stands"
        return network, weights, [_step("train", what, network, None, weights, data)]
    network = NETWORKS[choice.network]()
    weights = load(network).weights
    return network, weights, [_float("train", "float32", network, weights, data)]


def _float(name: str, what: str, network: Network, weights: Weights, data: Dataset) -> Step:
    return _step(name, what, network, quantize(network, weights, FLOAT), weights, data)


def _step(name: str, what: str, network: Network, quantized: Quantized | None, weights: Weights, data: Dataset) -> Step:
    step = Step(name, what, 0.0, network, quantized, weights)
    accuracy = float((step.logits(data.test.images).argmax(axis=1) == data.test.labels).mean())
    return Step(name, what, accuracy, network, quantized, weights)


def _check_same(before: Step, after: Step, data: Dataset) -> None:
    """ValueError where a step that may change nothing changes more than float32 rounding does."""
    images = data.validation.images[:CALIBRATION_IMAGES]
    wanted = before.logits(images)
    error = float(np.abs(after.logits(images) - wanted).max())
    if error > ROUNDING * float(np.abs(wanted).max()):
        raise ValueError(f"{after.name}: a logit changed by {error:.3g}; the outputs must stay the same")


def _pruned(
    network: Network, weights: Mapping[str, Array], choice: ChoiceSpec, data: Dataset, device: str, progress: Progress
) -> tuple[Network, Weights]:
    """Units removed, then single weights, trained on meanwhile; the same choice is trained once on a machine.

    It is the model that a recipe of the same numbers names, so that what a trade-off study picked is what is exported.
    The folded network has no recipe: its units go at once.
    """
    if choice.network != normed.NAME:
        recipe = Recipe(choice.network, width=choice.width, sparsity=choice.sparsity, tune_steps=choice.fine_tune_steps)
        return build(recipe), make(recipe, device, progress).restored.real_weights()
    from experiments.models.finetuning import fine_tune
    from experiments.models.plans import weight_plan
    from experiments.models.training import trainer

    small, start = shrink(network, weights, keep_units(network, weights, choice.width))
    file = cache_folder() / "edge" / f"{network.name}-{_key(start, choice)}.safetensors"
    if file.exists():
        kept, _ = tensorfile.read(file)
        check(small, kept)
        return small, kept
    tuned = fine_tune(
        trainer(small, device, 128),
        data,
        start,
        weight_plan(small, "magnitude"),
        choice.sparsity,
        steps=choice.fine_tune_steps,
        on_step=partial(_say, progress),
    )
    file.parent.mkdir(parents=True, exist_ok=True)
    tensorfile.write(file, tuned.weights, {})
    return small, tuned.weights


def _key(start: Mapping[str, Array], choice: ChoiceSpec) -> str:
    """Stands for the weights before fine-tuning and for how it is done."""
    digest = hashlib.sha256(tensorfile.encode(dict(sorted(start.items()))))
    digest.update(json.dumps([choice.sparsity, choice.fine_tune_steps]).encode())
    return digest.hexdigest()[:16]


def _say(progress: Progress, step: int, steps: int) -> None:
    if step % 50 == 0:
        progress(step / steps, f"fine-tuning: step {step} of {steps}")
