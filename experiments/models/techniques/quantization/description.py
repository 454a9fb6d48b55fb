"""Networks and specs as plain JSON values and back: what comes from a file is checked, never trusted."""

import dataclasses
import math
from dataclasses import asdict
from typing import Any, get_args

from experiments.models.sequential.network import Conv, Layer, Linear, Network, Pool
from experiments.models.techniques.quantization.post_training import QuantSpec

MAX_LAYERS, MAX_SIDE, MAX_PIXELS, MAX_NAME = 64, 2**24, 2**24, 64
KINDS: dict[str, type[Linear] | type[Conv]] = {"linear": Linear, "conv": Conv}


class BadDescription(ValueError):
    """A description of no network or spec, or one beyond the limits: one line."""


def describe_network(network: Network) -> dict[str, Any]:
    """The network as JSON values; `network_of` gives it back."""
    layers = [{"kind": type(layer).__name__.lower(), **asdict(layer)} for layer in network.layers]
    return {"name": network.name, "image": list(network.image), "layers": layers}


def network_from_json(value: Any) -> Network:
    """The network that `describe` wrote; BadDescription with one line where it is none."""
    fields = _fields(value, "network", {"name", "image", "layers"})
    name, image, layers = fields["name"], fields["image"], fields["layers"]
    if not isinstance(name, str) or not 0 < len(name) <= MAX_NAME:
        raise BadDescription("network: its name is not a short text")
    sides = [_size("image", side) for side in image] if isinstance(image, list) else []
    if len(sides) not in (1, 3) or math.prod(sides) > MAX_PIXELS:
        raise BadDescription("network: its image shape is not allowed")
    if not isinstance(layers, list) or len(layers) > MAX_LAYERS:
        raise BadDescription(f"network: its layers are not a list of at most {MAX_LAYERS}")
    try:
        return Network(name, tuple(_layer(layer) for layer in layers), tuple(sides))
    except ValueError as error:
        raise BadDescription(f"network: {error}") from None


def quant_spec_from_json(value: Any) -> QuantSpec:
    """The spec whose fields `dataclasses.asdict` wrote; BadDescription with one line where they are none."""
    fields = _fields(value, "spec", {field.name for field in dataclasses.fields(QuantSpec)})
    pairs = fields["layer_bits"]
    if not isinstance(pairs, list | tuple) or len(pairs) > MAX_LAYERS:
        raise BadDescription("spec: layer_bits is not a short list")
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


def _layer(value: Any) -> Layer:
    kind = KINDS.get(value["kind"]) if isinstance(value, dict) and isinstance(value.get("kind"), str) else None
    if kind is None:
        raise BadDescription(f"a layer's kind is not one of {', '.join(KINDS)}")
    names = {field.name for field in dataclasses.fields(kind)}
    fields = _fields(value, "layer", names | {"kind"})
    if type(fields["relu"]) is not bool:
        raise BadDescription("relu is neither true nor false")
    if "pool" in fields and fields["pool"] not in get_args(Pool):
        raise BadDescription("pool is unknown")
    for field in names - {"relu", "pool"}:
        _size(field, fields[field], least=0 if field == "padding" else 1)
    return kind(**{name: fields[name] for name in names})


def _fields(value: Any, what: str, names: set[str]) -> dict[str, Any]:
    if not isinstance(value, dict) or value.keys() != names:
        raise BadDescription(f"{what}: its fields are not {', '.join(sorted(names))}")
    return value


def _size(field: str, value: Any, least: int = 1) -> int:
    if type(value) is not int or not least <= value <= MAX_SIDE:
        raise BadDescription(f"{field}: not a whole number from {least} to {MAX_SIDE}")
    return value
