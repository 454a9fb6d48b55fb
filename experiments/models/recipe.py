"""Recipes: the name of a chain of techniques that makes a model, the same for everyone.

The order is fixed: train (distilled from a larger network or not), take away units, then single weights, training
on meanwhile, quantize, pack. What a file restores is the result; `making` carries a recipe out.
"""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from fractions import Fraction

from experiments.bench.arrays import Array
from experiments.models.sequential.network import NETWORKS, Network
from experiments.models.techniques.quantization.description import BadDescription, quant_spec_from_json
from experiments.models.techniques.quantization.post_training import QuantizedNetwork, QuantSpec, calibrate, quantize

MAX_STEPS = 100_000
TEACHERS = {"mlp": "lenet_300_100", "lenet_300_100": "lenet_5", "cnn": "lenet_5"}  # who a network is distilled from
ALWAYS_WRITTEN = {
    "network",
    "sizes",
    "seed",
    "quant",
}  # always in the text; of what came later only what is not the default


@dataclass(frozen=True)
class Recipe:
    """A network by name with sizes other than its defaults, the seed of its training, and what is done to it.

    `distilled`: trained on the answers of a larger network as well. `width`: the share of units that stays in every
    hidden layer. `sparsity`: the share of the weights of all layers that is set to zero. `tune_steps`: training steps
    in which each of these two happens, a share at a time; with 0 it is done at once and nothing is trained after it.
    `quant`: how the result is quantized. ValueError with one line where a value is not allowed.
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
            raise ValueError(f"sparsity: {self.sparsity:g} is not allowed; give 0 or more and less than 1")
        if not 0 <= self.tune_steps <= MAX_STEPS:
            raise ValueError(f"tune_steps: {self.tune_steps} is not allowed; give 0 to {MAX_STEPS}")
        if not self.is_pruned:
            object.__setattr__(self, "tune_steps", 0)
        pruned_network(self)
        if self.distilled and self.network not in TEACHERS:
            raise ValueError(f"distilled: {self.network} has no larger network to learn from")

    @property
    def is_pruned(self) -> bool:
        """Whether units or weights are taken away."""
        return self.width < 1 or self.sparsity > 0

    @property
    def unquantized(self) -> "Recipe":
        """The recipe of the float32 model that this one quantizes."""
        return dataclasses.replace(self, quant=QuantSpec("float32"))

    def json(self) -> str:
        """Canonical text: equal recipes, equal text."""
        defaults = {one.name: one.default for one in dataclasses.fields(self)}
        values = {
            name: value for name, value in asdict(self).items() if name in ALWAYS_WRITTEN or value != defaults[name]
        }
        return json.dumps(values, sort_keys=True, separators=(",", ":"))

    @property
    def hash(self) -> str:
        """12 hexadecimal digits of the SHA-256 of the canonical text."""
        return hashlib.sha256(self.json().encode()).hexdigest()[:12]


def pruned_network(recipe: Recipe) -> Network:
    """The network that a recipe ends with; ValueError with one line where there is none."""
    network, layers, share = full_network(recipe), [], Fraction(1)
    for number, layer in enumerate(network.layers, start=1):
        outputs = layer.outputs if number == len(network.layers) else round(recipe.width * layer.outputs)
        layers.append(dataclasses.replace(layer, inputs=int(layer.inputs * share), outputs=outputs))
        share = Fraction(outputs, layer.outputs)  # of what comes into the next layer, behind a convolution too
    return dataclasses.replace(network, layers=tuple(layers))


def full_network(recipe: Recipe) -> Network:
    """The network that is trained first, with all its units."""
    if recipe.network not in NETWORKS:
        raise ValueError(f"network: {recipe.network} is unknown; give one of {', '.join(NETWORKS)}")
    try:
        return NETWORKS[recipe.network](**dict(recipe.sizes))
    except TypeError:
        raise ValueError(f"sizes: {recipe.network} has no {', '.join(name for name, _ in recipe.sizes)}") from None


def from_json(text: str) -> Recipe:
    """The recipe of a canonical text; ValueError with one line where it is none."""
    known = {one.name for one in dataclasses.fields(Recipe)}
    try:
        value = json.loads(text)
        if not isinstance(value, dict) or not ALWAYS_WRITTEN <= value.keys() <= known:
            raise BadDescription("a recipe is network, sizes, seed and quant, and what is done besides")
        sizes = tuple((str(name), int(size)) for name, size in value["sizes"])
        made = Recipe(
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
    return made


def apply_quantization(recipe: Recipe, weights: Mapping[str, Array], images: Array | None = None) -> QuantizedNetwork:
    """The last step of a recipe, from the weights of `build(recipe)`; `images` (n, pixels) calibrate a static scheme.

    ValueError where the scheme is static and there are none.
    """
    network = pruned_network(recipe)
    calibration = None
    if recipe.quant.scheme == "static":
        if images is None:
            raise ValueError("the scheme static needs calibration images")
        calibration = calibrate(network, weights, images)
    return quantize(network, weights, recipe.quant, calibration)
