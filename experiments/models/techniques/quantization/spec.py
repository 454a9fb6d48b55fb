"""QuantSpec: how a network is quantized, and how its JSON values are read back."""

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal, get_args

from experiments.models.sequential.description import MAX_LAYERS, BadDescription, check_fields

Scheme = Literal["float32", "float16", "static", "dynamic", "weight_only"]
Granularity = Literal["per_tensor", "per_channel"]
Symmetry = Literal["symmetric", "asymmetric"]
Observer = Literal["minmax", "percentile", "mse", "entropy"]

OBSERVERS: tuple[Observer, ...] = get_args(Observer)
MIN_BITS, MAX_BITS = 2, 8
FLOAT_BITS: dict[Scheme, int] = {"float32": 32, "float16": 16}
ALLOWED: dict[str, tuple[str, ...]] = {
    "scheme": get_args(Scheme),
    "granularity": get_args(Granularity),
    "symmetry": get_args(Symmetry),
    "observer": OBSERVERS,
    "weight_observer": OBSERVERS,
}


def check_bits(field: str, bits: int) -> None:
    """Raises ValueError unless `bits` is 2 to 8: one bit has no level besides zero."""
    if not MIN_BITS <= bits <= MAX_BITS:
        raise ValueError(f"{field}: {bits} is not allowed; give {MIN_BITS} to {MAX_BITS}")


@dataclass(frozen=True)
class QuantSpec:
    """How to quantize. Fields that a scheme does not use are reset, so that specs of the same model are equal.

    `static`: integer arithmetic, activation ranges calibrated with `observer`. `dynamic`: integer products, the
    activation range computed from each batch at run time. `weight_only`: integers stored, converted to float in the
    kernel. `float32`, `float16`: the type of the stored weights; arithmetic is float32. `granularity`: one weight
    scale per layer or per output. `symmetry`: of the weights, and of static activations with negative values.
    `weight_observer`: chooses the range of the weights. `percentile`: the share of values that the observer of this
    name keeps. `layer_bits`: weight bits of single layers, by name, instead of `weight_bits`.

    Every packed model's header holds all fields. Raises ValueError with a one-line message if a value is not allowed.
    """

    scheme: Scheme = "static"
    weight_bits: int = 8
    activation_bits: int | None = 8
    granularity: Granularity = "per_channel"
    symmetry: Symmetry = "symmetric"
    observer: Observer = "minmax"
    weight_observer: Observer = "minmax"
    percentile: float = 0.999
    layer_bits: tuple[tuple[str, int], ...] = ()

    def __post_init__(self) -> None:
        for field, allowed in ALLOWED.items():
            if getattr(self, field) not in allowed:
                raise ValueError(f"{field}: {getattr(self, field)} is not allowed; give one of {', '.join(allowed)}")
        if not 0.5 <= self.percentile <= 1:
            raise ValueError(f"percentile: {self.percentile} is not allowed; give 0.5 to 1")
        object.__setattr__(self, "layer_bits", tuple(sorted(self.layer_bits)))
        if not self.is_float:
            check_bits("weight_bits", self.weight_bits)
            for layer, bits in self.layer_bits:
                check_bits(f"layer_bits of {layer}", bits)
        if self.scheme in ("static", "dynamic"):
            if self.activation_bits is None:
                raise ValueError(f"activation_bits: the scheme {self.scheme} needs 2 to 8")
            check_bits("activation_bits", self.activation_bits)
        for field, value in self._unused().items():
            object.__setattr__(self, field, value)

    @property
    def is_float(self) -> bool:
        """Whether the weights stay floats."""
        return self.scheme in FLOAT_BITS

    def bits(self, layer: str) -> int:
        """Bits of one weight of `layer`."""
        return dict(self.layer_bits).get(layer, self.weight_bits)

    def _unused(self) -> dict[str, Any]:
        """The fields that the scheme does not use, with their defaults."""
        defaults = {field.name: field.default for field in dataclasses.fields(self)}
        unused: dict[str, Any] = {}
        if self.is_float:
            names = ("granularity", "symmetry", "weight_observer", "layer_bits")
            unused = {name: defaults[name] for name in names} | {"weight_bits": FLOAT_BITS[self.scheme]}
        if self.scheme not in ("static", "dynamic"):
            unused |= {"activation_bits": None}
        if self.scheme != "static":
            unused |= {"observer": defaults["observer"]}
        observers = {name: unused.get(name, getattr(self, name)) for name in ("observer", "weight_observer")}
        if "percentile" not in observers.values():
            unused |= {"percentile": defaults["percentile"]}
        return unused


def quant_spec_from_json(value: Any) -> QuantSpec:
    """The spec of the JSON values that `dataclasses.asdict` gave; BadDescription if they describe none."""
    fields = check_fields(value, "spec", {field.name for field in dataclasses.fields(QuantSpec)})
    pairs = fields["layer_bits"]
    if not isinstance(pairs, list | tuple) or len(pairs) > MAX_LAYERS:
        raise BadDescription(f"spec: layer_bits is not a list of at most {MAX_LAYERS}")
    for pair in pairs:
        if not isinstance(pair, list | tuple) or [type(part) for part in pair] != [str, int]:
            raise BadDescription("spec: layer_bits is not pairs of a layer and its bits")
    numbers = {"weight_bits": (int,), "activation_bits": (int, type(None)), "percentile": (int, float)}
    for field, kinds in numbers.items():
        if type(fields[field]) not in kinds:
            raise BadDescription(f"spec: {field} is not a number")
    try:
        return QuantSpec(**{**fields, "layer_bits": tuple(tuple(pair) for pair in pairs)})
    except (ValueError, TypeError) as error:
        raise BadDescription(f"spec: {error}") from None
