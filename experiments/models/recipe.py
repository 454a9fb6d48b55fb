"""Recipe: the ordered techniques that build a model from a network, with one canonical text on every machine.

The order is fixed: train (distilled from a larger network or not), prune units, prune weights, fine-tuning during both,
quantize, pack. `builder.build_model` executes a recipe.
"""

import dataclasses
import functools
import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING

from experiments.bench.arrays import Array
from experiments.models.sequential.description import BadDescription
from experiments.models.sequential.network import NETWORKS, Network
from experiments.models.techniques.quantization.spec import QuantSpec, quant_spec_from_json

if TYPE_CHECKING:
    from experiments.models.techniques.quantization.post_training import QuantizedNetwork

MAX_STEPS = 100_000
TEACHERS = {"mlp": "lenet_300_100", "lenet_300_100": "lenet_5", "cnn": "lenet_5"}  # student: teacher of distillation
# Always in the canonical text; the other fields, which are newer, only if they differ from their default.
ALWAYS_WRITTEN = {"network", "sizes", "seed", "quant"}


@dataclass(frozen=True)
class Recipe:
    """A network by name, sizes that differ from its defaults, the seed of its training, and the techniques.

    `distilled`: trained on the outputs of a larger network too. `width`: share of the units of every hidden layer
    that remains. `sparsity`: share of all weights that is set to zero. `tune_steps`: training steps during each of
    the two prunings, which are then gradual; with 0 they happen at once, without training. `quant`: how the result is
    quantized. Raises ValueError with a one-line message if a value is not allowed.
    """

    network: str = "mlp"
    sizes: tuple[tuple[str, int], ...] = ()
    seed: int = 0
    quant: QuantSpec = field(default_factory=lambda: QuantSpec("float32"))
    distilled: bool = False
    width: float = 1.0
    sparsity: float = 0.0
    tune_steps: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "sizes", tuple(sorted(self.sizes)))
        if not 0 < self.width <= 1:
            raise ValueError(f"width: {self.width:g} is not allowed; give a share above 0, at most 1")
        if not 0 <= self.sparsity < 1:
            raise ValueError(f"sparsity: {self.sparsity:g} is not allowed; give a value from 0 to below 1")
        if not 0 <= self.tune_steps <= MAX_STEPS:
            raise ValueError(f"tune_steps: {self.tune_steps} is not allowed; give 0 to {MAX_STEPS}")
        if not self.is_pruned:
            object.__setattr__(self, "tune_steps", 0)
        pruned_network(self)
        if self.distilled and self.network not in TEACHERS:
            raise ValueError(f"distilled: {self.network} has no larger network to learn from")

    @property
    def is_pruned(self) -> bool:
        """Whether units or weights are pruned."""
        return self.width < 1 or self.sparsity > 0

    @property
    def unquantized(self) -> "Recipe":
        """The recipe of the float32 model that this one quantizes."""
        return dataclasses.replace(self, quant=QuantSpec("float32"))

    @property
    def unpruned(self) -> "Recipe":
        """The recipe of the float32 model before pruning."""
        return dataclasses.replace(self.unquantized, width=1.0, sparsity=0.0)

    def json(self) -> str:
        """Canonical text: equal recipes have equal text."""
        defaults = {one.name: one.default for one in dataclasses.fields(self)}
        values = asdict(self)
        written = {name: values[name] for name in values if name in ALWAYS_WRITTEN or values[name] != defaults[name]}
        return json.dumps(written, sort_keys=True, separators=(",", ":"))

    @property
    def hash(self) -> str:
        """12 hexadecimal digits of the SHA-256 of the canonical text."""
        return hashlib.sha256(self.json().encode()).hexdigest()[:12]


def full_network(recipe: Recipe) -> Network:
    """The network before pruning, which is trained first; raises ValueError if the recipe describes none."""
    return _full_network(recipe.network, recipe.sizes)


def pruned_network(recipe: Recipe) -> Network:
    """The network after pruning; raises ValueError if the recipe describes none."""
    return _pruned_network(recipe.network, recipe.sizes, recipe.width)


def _full_network(name: str, sizes: tuple[tuple[str, int], ...]) -> Network:
    if name not in NETWORKS:
        raise ValueError(f"network: {name} is unknown; give one of {', '.join(NETWORKS)}")
    try:
        return NETWORKS[name](**dict(sizes))
    except TypeError:
        raise ValueError(f"sizes: {name} has no {', '.join(size for size, _ in sizes)}") from None


@functools.lru_cache(maxsize=64)  # each recipe checks its network when it is created, and those of a study share a few
def _pruned_network(name: str, sizes: tuple[tuple[str, int], ...], width: float) -> Network:
    network, layers, share = _full_network(name, sizes), [], Fraction(1)
    for number, layer in enumerate(network.layers, start=1):
        outputs = layer.outputs if number == len(network.layers) else round(width * layer.outputs)
        layers.append(dataclasses.replace(layer, inputs=int(layer.inputs * share), outputs=outputs))
        share = Fraction(outputs, layer.outputs)  # of the next layer's inputs, also after a flattened convolution
    return dataclasses.replace(network, layers=tuple(layers))


def from_json(text: str) -> Recipe:
    """The recipe of a canonical text.

    Raises BadDescription (a ValueError) if the text is not a recipe, ValueError if a value is not allowed.
    """
    known = {one.name for one in dataclasses.fields(Recipe)}
    try:
        value = json.loads(text)
        if not isinstance(value, dict) or not ALWAYS_WRITTEN <= value.keys() <= known:
            raise BadDescription("a recipe has the fields network, sizes, seed, quant and those of its techniques")
        sizes = tuple((str(name), int(size)) for name, size in value["sizes"])
        return Recipe(
            network=str(value["network"]),
            sizes=sizes,
            seed=int(value["seed"]),
            quant=quant_spec_from_json(value["quant"]),
            distilled=bool(value.get("distilled", False)),
            width=float(value.get("width", 1)),
            sparsity=float(value.get("sparsity", 0)),
            tune_steps=int(value.get("tune_steps", 0)),
        )
    except (json.JSONDecodeError, RecursionError, TypeError):
        raise BadDescription("not the text of a recipe") from None


def apply_quantization(recipe: Recipe, weights: Mapping[str, Array], images: Array | None = None) -> "QuantizedNetwork":
    """The quantized model, from the weights of `pruned_network(recipe)`; a static scheme calibrates on `images`.

    Raises ValueError if the scheme is static and there are no images (n, pixels).
    """
    from experiments.models.techniques.quantization.post_training import calibrate, quantize

    network = pruned_network(recipe)
    calibration = None
    if recipe.quant.scheme == "static":
        if images is None:
            raise ValueError("the scheme static needs calibration images")
        calibration = calibrate(network, weights, images)
    return quantize(network, weights, recipe.quant, calibration)
