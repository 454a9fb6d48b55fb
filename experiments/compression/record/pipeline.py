"""The compression pipeline: a trained network through every technique to one small file, stage by stage.

Units are pruned and the rest fine-tuned. Then one training with a teacher's logits prunes weights gradually by LAMP,
removes dead units, and restricts the weights of each layer to a codebook of shared values. Each stage is packed.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from experiments.bench.arrays import Array
from experiments.compression.record.codebooks import Codebooks
from experiments.models.data.mnist import Dataset, mnist
from experiments.models.format.packed import pack
from experiments.models.sequential.network import Network, Weights
from experiments.models.techniques.prune_units import active_units, select_units, shrink, unit_masks
from experiments.models.techniques.prune_weights import Masks, apply_masks, cubic_sparsity, pruning_masks
from experiments.models.techniques.quantization.post_training import quantize
from experiments.models.techniques.quantization.spec import QuantSpec
from experiments.models.training.feeding import Teacher
from experiments.models.training.settings import Settings
from experiments.models.training.trainer import Trainer

ReportProgress = Callable[[float, str], None]

PRUNED_AT, CODED_AT, SETTLED_AT = 0.6, 0.75, 0.97  # shares of the steps: masks fixed, codebooks on, codebooks fixed
TIGHTEN_EVERY, LLOYD_EVERY = 100, 50  # steps


@dataclass(frozen=True)
class PipelineSettings:
    """`units`: how many to keep in each hidden layer, by layer; layers that are not named keep all.

    `sparsity`: share of the remaining weights to prune; `bits` and `bias_bits`: of an index into a codebook; `rate`:
    learning rate at the start of the last training, decaying to 0; steps of 128 images.
    """

    units: Mapping[str, int]
    sparsity: float
    bits: int
    bias_bits: int
    shrink_steps: int
    steps: int
    rate: float
    shift: int
    seed: int


@dataclass(frozen=True)
class StageFile:
    """A packed file that restores the network of a stage."""

    name: str
    content: bytes


class Pipeline:
    """The compiled training steps for one network and one set of settings, reused for every seed."""

    def __init__(self, network: Network, settings: PipelineSettings, device: str) -> None:
        self._unit_trainer = Trainer(network, device, distill=True) if settings.units else None
        shrunk = _shrunk_network(network, settings)
        self._codebooks = Codebooks(shrunk, device, 2**settings.bits, 2**settings.bias_bits)
        self._trainer = Trainer(shrunk, device, weight=self._codebooks.hook, distill=True)
        self._network = network

    def stages(
        self,
        weights: Weights,
        settings: PipelineSettings,
        teacher: Teacher,
        progress: ReportProgress,
        data: Dataset | None = None,
    ) -> Iterator[StageFile]:
        """The stages base, shrunk, pruned, codebook and file, one by one, from the base's `weights`."""
        data, network = data or mnist(), self._network
        yield StageFile("base", pack(_stored(network, weights, "float32")))
        total = settings.shrink_steps + settings.steps
        if self._unit_trainer:
            report = _in_steps(progress, 0, total)
            network, weights = self._shrink(self._unit_trainer, weights, settings, teacher, data, report)
            yield StageFile("shrunk", pack(_stored(network, weights, "float32"), "smallest"))
        self._codebooks.restart()
        before_coding: dict[str, Weights] = {}
        report = _in_steps(progress, settings.shrink_steps, total)
        trained = self._prune_and_code(weights, settings, teacher, data, report, before_coding)
        yield StageFile("pruned", pack(_stored(network, before_coding["pruned"], "float32"), "smallest"))
        coded = self._codebooks.apply(trained)
        yield StageFile("codebook", pack(_stored(network, coded, "float32"), "smallest"))
        yield StageFile(
            "file", pack(_stored(*shrink(network, coded, active_units(network, coded)), "float16"), "smallest")
        )

    def _shrink(
        self,
        trainer: Trainer,
        weights: Weights,
        settings: PipelineSettings,
        teacher: Teacher,
        data: Dataset,
        progress: ReportProgress,
    ) -> tuple[Network, Weights]:
        """The network with fewer units, fine-tuned; masks let it use the step compiled for the whole network."""
        kept = select_units(self._network, weights, settings.units)
        trained = trainer.fit(
            data,
            Settings(shift=settings.shift, seed=settings.seed),
            steps=settings.shrink_steps,
            start=weights,
            masks=unit_masks(self._network, kept),
            teacher=teacher,
            evaluate=_no_evaluation,
            progress=lambda done, *_: progress(done * settings.shrink_steps, "units pruned, fine-tuning"),
        )
        return shrink(self._network, trained.weights, kept)

    def _prune_and_code(
        self,
        weights: Weights,
        settings: PipelineSettings,
        teacher: Teacher,
        data: Dataset,
        progress: ReportProgress,
        before_coding: dict[str, Weights],
    ) -> Weights:
        """One training that tightens masks, then turns codebooks on; sets `before_coding["pruned"]` in between."""
        fixed, coded, settled = (round(share * settings.steps) for share in (PRUNED_AT, CODED_AT, SETTLED_AT))
        masks: Masks = {}

        def before_step(trainer: Trainer, step: int, _: int) -> None:
            nonlocal masks
            if (step < fixed and step % TIGHTEN_EVERY == 0) or step == fixed:
                now, sparsity = trainer.weights(), cubic_sparsity(step, 0, fixed, settings.sparsity)
                masks = pruning_masks(trainer.network, now, sparsity, "lamp", within=masks)
                if step == fixed:
                    masks = _with_units(masks, active_units(trainer.network, apply_masks(now, masks)), trainer.network)
                trainer.set_masks(masks)
            if step == coded:
                before_coding["pruned"] = trainer.weights()
            if coded <= step <= settled and (step - coded) % LLOYD_EVERY == 0:
                self._codebooks.fit(trainer.weights())

        return self._trainer.fit(
            data,
            Settings(rate=settings.rate, shift=settings.shift, seed=settings.seed),
            steps=settings.steps,
            start=weights,
            teacher=teacher,
            on_step=before_step,
            evaluate=_no_evaluation,
            progress=lambda done, *_: progress(done * settings.steps, _phase(done)),
        ).weights


def _with_units(masks: Masks, kept: Mapping[str, Array], network: Network) -> Masks:
    """The masks, combined with those of the kept units, biases included."""
    units = unit_masks(network, kept)
    return units | {name: mask & units[name] for name, mask in masks.items()}


def _shrunk_network(network: Network, settings: PipelineSettings) -> Network:
    """The network with the widths of the settings."""
    zeros = {name: np.zeros(shape, np.float32) for name, shape in network.shapes().items()}
    return shrink(network, zeros, select_units(network, zeros, settings.units))[0] if settings.units else network


def _stored(network: Network, weights: Mapping[str, Array], scheme: Any) -> Any:
    return quantize(network, weights, QuantSpec(scheme))


def _in_steps(progress: ReportProgress, before: int, total: int) -> ReportProgress:
    """Converts steps since the start of a stage to a share of all steps."""
    return lambda steps, message: progress((before + steps) / total, message)


def _phase(done: float) -> str:
    if done < PRUNED_AT:
        return "pruning weights gradually"
    return "masks fixed, fine-tuning" if done < CODED_AT else "restricting weights to codebooks"


def _no_evaluation(_: Mapping[str, Array]) -> float:
    return 0.0  # evaluating on the validation images after every epoch would take longer than the epoch
