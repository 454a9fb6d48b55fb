"""Networks as plain JSON values and back; values from a file are checked, never trusted."""

import dataclasses
import math
from dataclasses import asdict
from typing import Any, get_args

from experiments.models.sequential.network import Conv, Layer, Linear, Network, Pool

MAX_LAYERS, MAX_SIDE, MAX_PIXELS, MAX_NAME = 64, 2**24, 2**24, 64
KINDS: dict[str, type[Linear] | type[Conv]] = {"linear": Linear, "conv": Conv}


class BadDescription(ValueError):
    """JSON values that describe no network, QuantSpec or recipe, or one beyond the limits; one line."""


def describe_network(network: Network) -> dict[str, Any]:
    """The network as JSON values; `network_from_json` is the inverse."""
    layers = [{"kind": type(layer).__name__.lower(), **asdict(layer)} for layer in network.layers]
    return {"name": network.name, "image": list(network.image), "layers": layers}


def network_from_json(value: Any) -> Network:
    """The network of `describe_network`; BadDescription if the value does not describe a network."""
    fields = check_fields(value, "network", {"name", "image", "layers"})
    name, image, layers = fields["name"], fields["image"], fields["layers"]
    if not isinstance(name, str) or not 0 < len(name) <= MAX_NAME:
        raise BadDescription(f"network: its name is not a text of 1 to {MAX_NAME} characters")
    sides = [_size("image", side) for side in image] if isinstance(image, list) else []
    if len(sides) not in (1, 3) or math.prod(sides) > MAX_PIXELS:
        raise BadDescription("network: its image shape is not allowed")
    if not isinstance(layers, list) or len(layers) > MAX_LAYERS:
        raise BadDescription(f"network: its layers are not a list of at most {MAX_LAYERS}")
    try:
        return Network(name, tuple(_layer(layer) for layer in layers), tuple(sides))
    except ValueError as error:
        raise BadDescription(f"network: {error}") from None


def check_fields(value: Any, what: str, names: set[str]) -> dict[str, Any]:
    """`value` if it is an object with exactly these fields; else BadDescription."""
    if not isinstance(value, dict) or value.keys() != names:
        raise BadDescription(f"{what}: its fields are not {', '.join(sorted(names))}")
    return value


def _layer(value: Any) -> Layer:
    kind = KINDS.get(value["kind"]) if isinstance(value, dict) and isinstance(value.get("kind"), str) else None
    if kind is None:
        raise BadDescription(f"a layer's kind is not one of {', '.join(KINDS)}")
    names = {field.name for field in dataclasses.fields(kind)}
    fields = check_fields(value, "layer", names | {"kind"})
    if type(fields["relu"]) is not bool:
        raise BadDescription("relu is neither true nor false")
    if "pool" in fields and fields["pool"] not in get_args(Pool):
        raise BadDescription("pool is unknown")
    for field in names - {"relu", "pool"}:
        _size(field, fields[field], minimum=0 if field == "padding" else 1)
    return kind(**{name: fields[name] for name in names})


def _size(field: str, value: Any, minimum: int = 1) -> int:
    if type(value) is not int or not minimum <= value <= MAX_SIDE:
        raise BadDescription(f"{field}: not an integer from {minimum} to {MAX_SIDE}")
    return value
