"""Recipes: the name of a chain of techniques that makes a model from trained weights, the same for everyone."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from experiments.models.descriptions import BadDescription, spec_of
from experiments.models.networks import NETWORKS, Network
from experiments.models.quantizing import Quantized, QuantSpec, calibrate, quantize

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Recipe:
    """A network by name with sizes other than its defaults, the seed of its training, and how it is quantized.

    ValueError with one line where the network or a size is unknown.
    """

    network: str = "mlp"
    sizes: tuple[tuple[str, int], ...] = ()
    seed: int = 0
    quant: QuantSpec = field(default_factory=lambda: QuantSpec("float32"))

    def __post_init__(self) -> None:
        object.__setattr__(self, "sizes", tuple(sorted(self.sizes)))
        build(self)

    def json(self) -> str:
        """Canonical text: equal recipes, equal text."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))

    @property
    def hash(self) -> str:
        """12 hexadecimal digits of the SHA-256 of the canonical text."""
        return hashlib.sha256(self.json().encode()).hexdigest()[:12]


def build(recipe: Recipe) -> Network:
    """The network of a recipe; ValueError with one line where there is none."""
    if recipe.network not in NETWORKS:
        raise ValueError(f"network: {recipe.network} is unknown; give one of {', '.join(NETWORKS)}")
    try:
        return NETWORKS[recipe.network](**dict(recipe.sizes))
    except TypeError:
        raise ValueError(f"sizes: {recipe.network} has no {', '.join(name for name, _ in recipe.sizes)}") from None


def from_json(text: str) -> Recipe:
    """The recipe of a canonical text; ValueError with one line where it is none."""
    try:
        value = json.loads(text)
        if not isinstance(value, dict) or value.keys() != {"network", "sizes", "seed", "quant"}:
            raise BadDescription("a recipe is network, sizes, seed and quant")
        sizes = tuple((str(name), int(size)) for name, size in value["sizes"])
        return Recipe(str(value["network"]), sizes, int(value["seed"]), spec_of(value["quant"]))
    except (json.JSONDecodeError, RecursionError, TypeError):
        raise BadDescription("not the text of a recipe") from None


def apply(recipe: Recipe, weights: Mapping[str, Array], images: Array | None = None) -> Quantized:
    """The model of a recipe from trained weights; `images` (n, pixels) calibrate a static scheme, which needs them."""
    network = build(recipe)
    calibration = None
    if recipe.quant.scheme == "static":
        if images is None:
            raise ValueError("the scheme static needs calibration images")
        calibration = calibrate(network, weights, images)
    return quantize(network, weights, recipe.quant, calibration)
