"""As small as it gets: a trained network through every technique to one file, stage by stage.

Units removed and trained on, then in one training with a teacher's logits: weights pruned gradually by LAMP, units
that nothing reaches or nothing hears removed, the values of every layer drawn into a codebook; then packed, and read
back from the file alone.
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
from experiments.models.techniques.quantization.post_training import QuantSpec, quantize
from experiments.models.training.feeding import Teacher
from experiments.models.training.settings import Settings
from experiments.models.training.trainer import Trainer

Progress = Callable[[float, str], None]

PRUNED_AT, CODED_AT, SETTLED_AT = 0.6, 0.75, 0.97  # shares of the steps: masks fixed, codebooks on, codebooks fixed
TIGHTEN_EVERY, LLOYD_EVERY = 100, 50  # steps


@dataclass(frozen=True)
class Chain:
    """What is done to a network. `units`: how many stay in each hidden layer, by layer; others stay whole.

    `sparsity`: share of the remaining weights that are pruned; `bits` and `bias_bits`: of an index into a codebook;
    `rate`: learning rate at the start of the last training, which falls to 0; steps of 128 images.
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
class Stage:
    """What a stage left: a file of `content` that restores the network of that stage."""

    name: str
    content: bytes


class Maker:
    """Compiled steps for one network and chain, used again for every seed."""

    def __init__(self, network: Network, chain: Chain, device: str) -> None:
        self._whole = Trainer(network, device, distill=True) if chain.units else None
        slim = _slim(network, chain)
        self._books = Codebooks(slim, device, 2**chain.bits, 2**chain.bias_bits)
        self._coded = Trainer(slim, device, weight=self._books.hook, distill=True)
        self._network = network

    def stages(
        self, weights: Weights, chain: Chain, teacher: Teacher, progress: Progress, data: Dataset | None = None
    ) -> Iterator[Stage]:
        """Base, shrunk, pruned, codebook and file, each as it is reached, from the base's `weights`."""
        data, network = data or mnist(), self._network
        yield Stage("base", pack(_stored(network, weights, "float32")))
        whole = chain.shrink_steps + chain.steps
        if self._whole:
            network, weights = self._shrunk(self._whole, weights, chain, teacher, data, _scaled(progress, 0, whole))
            yield Stage("shrunk", pack(_stored(network, weights, "float32"), "smallest"))
        self._books.restart()
        seen: dict[str, Weights] = {}
        trained = self._pruned(weights, chain, teacher, data, _scaled(progress, chain.shrink_steps, whole), seen)
        yield Stage("pruned", pack(_stored(network, seen["pruned"], "float32"), "smallest"))
        coded = self._books.apply(trained)
        yield Stage("codebook", pack(_stored(network, coded, "float32"), "smallest"))
        yield Stage("file", pack(_stored(*shrink(network, coded, active_units(network, coded)), "float16"), "smallest"))

    def _shrunk(
        self, trainer: Trainer, weights: Weights, chain: Chain, teacher: Teacher, data: Dataset, progress: Progress
    ) -> tuple[Network, Weights]:
        """The network with fewer units, trained on: under masks, by a step that is compiled for the whole one."""
        kept = select_units(self._network, weights, chain.units)
        trained = trainer.fit(
            data,
            Settings(shift=chain.shift, seed=chain.seed),
            steps=chain.shrink_steps,
            start=weights,
            masks=unit_masks(self._network, kept),
            teacher=teacher,
            evaluate=_unlooked,
            progress=lambda done, *_: progress(done * chain.shrink_steps, "units removed, training on"),
        )
        return shrink(self._network, trained.weights, kept)

    def _pruned(
        self,
        weights: Weights,
        chain: Chain,
        teacher: Teacher,
        data: Dataset,
        progress: Progress,
        seen: dict[str, Weights],
    ) -> Weights:
        """One training during which masks tighten and codebooks take hold; `seen` gets the weights between both."""
        fixed, coded, settled = (round(share * chain.steps) for share in (PRUNED_AT, CODED_AT, SETTLED_AT))
        masks: Masks = {}

        def before_step(trainer: Trainer, step: int, _: int) -> None:
            nonlocal masks
            if (step < fixed and step % TIGHTEN_EVERY == 0) or step == fixed:
                now, sparsity = trainer.weights(), cubic_sparsity(step, 0, fixed, chain.sparsity)
                masks = pruning_masks(trainer.network, now, sparsity, "lamp", within=masks)
                if step == fixed:
                    masks = _joined(masks, active_units(trainer.network, apply_masks(now, masks)), trainer.network)
                trainer.set_masks(masks)
            if step == coded:
                seen["pruned"] = trainer.weights()
            if coded <= step <= settled and (step - coded) % LLOYD_EVERY == 0:
                self._books.fit(trainer.weights())

        return self._coded.fit(
            data,
            Settings(rate=chain.rate, shift=chain.shift, seed=chain.seed),
            steps=chain.steps,
            start=weights,
            teacher=teacher,
            on_step=before_step,
            evaluate=_unlooked,
            progress=lambda done, *_: progress(done * chain.steps, _doing(done)),
        ).weights


def _joined(masks: Masks, kept: Mapping[str, Array], network: Network) -> Masks:
    """The masks, and those of the units that are left, biases included."""
    units = unit_masks(network, kept)
    return units | {name: mask & units[name] for name, mask in masks.items()}


def _slim(network: Network, chain: Chain) -> Network:
    """The network with the chain's widths."""
    zeros = {name: np.zeros(shape, np.float32) for name, shape in network.shapes().items()}
    return shrink(network, zeros, select_units(network, zeros, chain.units))[0] if chain.units else network


def _stored(network: Network, weights: Mapping[str, Array], scheme: Any) -> Any:
    return quantize(network, weights, QuantSpec(scheme))


def _scaled(progress: Progress, before: int, whole: int) -> Progress:
    """Progress in steps since a stage began, as a share of all steps."""
    return lambda steps, message: progress((before + steps) / whole, message)


def _doing(done: float) -> str:
    if done < PRUNED_AT:
        return "weights pruned gradually"
    return "masks fixed, training on" if done < CODED_AT else "values drawn into codebooks"


def _unlooked(_: Mapping[str, Array]) -> float:
    return 0.0  # a look at the validation images after every epoch would take longer than the epoch
