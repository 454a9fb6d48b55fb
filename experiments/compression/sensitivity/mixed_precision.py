"""Mixed precision: bits for each layer within a budget of bytes or down to a minimum accuracy."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from experiments.bench.arrays import Array
from experiments.compression.sensitivity.layer_sensitivity import (
    FakeQuantizedLayers,
    LayerSensitivity,
    RunningMetrics,
    bytes_at,
    labeled_batches,
)
from experiments.models.sequential.network import Network

Chosen = dict[str, LayerSensitivity]  # by layer

MAX_ASSIGNMENTS = 4096  # of an exhaustive search, which runs the last layer once for each
MIN_COST = 1e-9  # nats: steps without a loss are compared by the bytes they save


@dataclass(frozen=True)
class BitAssignment:
    """Bits for each layer, as `QuantSpec.layer_bits` takes them, and the bytes of all layers in the file.

    The accuracy is predicted by `assign_bits` (the float network's less the drops of all layers) and measured by
    `search_assignments`.
    """

    bits: tuple[tuple[str, int], ...]
    bytes: int
    accuracy: float


def assign_bits(
    sensitivities: Sequence[LayerSensitivity], budget_bytes: int | None = None, min_accuracy: float | None = None
) -> BitAssignment:
    """Greedy: starts at the most bits and repeats the step that costs the least loss per byte saved.

    With `budget_bytes` until the layers fit, then spends the rest of the budget; with `min_accuracy` as long as the
    predicted accuracy stays at or above it. Raises ValueError unless exactly one is given and can be met.
    """
    _check_limits(budget_bytes, min_accuracy)
    chosen: Chosen = {}
    for one in sensitivities:
        if one.layer not in chosen or one.bits > chosen[one.layer].bits:
            chosen[one.layer] = one
    while budget_bytes is None or _bytes(chosen) > budget_bytes:
        lower = [one for one in sensitivities if one.bytes < chosen[one.layer].bytes]
        if min_accuracy is not None:
            lower = [one for one in lower if _predicted(chosen | {one.layer: one}) >= min_accuracy]
        if not lower:
            break
        step = min(lower, key=lambda one: _cost_per_byte(chosen[one.layer], one))
        chosen[step.layer] = step
    if budget_bytes is not None and _bytes(chosen) > budget_bytes:
        raise ValueError(f"budget_bytes: {budget_bytes} is too small; the fewest bits need {_bytes(chosen)}")
    if min_accuracy is not None and _predicted(chosen) < min_accuracy:
        raise ValueError(f"min_accuracy: even the most bits have a predicted accuracy below {min_accuracy}")
    if budget_bytes is not None:
        _spend_rest(chosen, sensitivities, budget_bytes)
    return BitAssignment(tuple((layer, one.bits) for layer, one in chosen.items()), _bytes(chosen), _predicted(chosen))


def search_assignments(
    network: Network,
    weights: Mapping[str, Array],
    bits: Sequence[int],
    images: Array,
    labels: Array,
    budget_bytes: int | None = None,
    min_accuracy: float | None = None,
) -> BitAssignment:
    """Exhaustive: the most accurate assignment within `budget_bytes`, or the smallest of at least `min_accuracy`.

    Raises ValueError if there are more than 4,096 assignments, or if none meets the limit.
    """
    _check_limits(budget_bytes, min_accuracy)
    places = network.walk()
    if len(bits) ** len(places) > MAX_ASSIGNMENTS:
        raise ValueError(
            f"bits: {len(bits)} levels for {len(places)} layers give more than {MAX_ASSIGNMENTS} assignments"
        )
    sizes: dict[tuple[int, ...], int] = {}
    for levels in itertools.product(bits, repeat=len(places)):
        size = sum(bytes_at(place, level) for place, level in zip(places, levels, strict=True))
        if budget_bytes is None or size <= budget_bytes:
            sizes[levels] = size
    layers, metrics = FakeQuantizedLayers(network, weights, bits), {levels: RunningMetrics() for levels in sizes}
    for x, expected in labeled_batches(network, images, labels):
        _run_all(layers, (), x, expected, bits, metrics)
    tried = [
        BitAssignment(tuple(zip((place.name for place in places), levels, strict=True)), sizes[levels], one.accuracy)
        for levels, one in metrics.items()
    ]
    enough = [one for one in tried if min_accuracy is None or one.accuracy >= min_accuracy]
    if not enough:
        raise ValueError("no assignment of these bits is small or accurate enough")
    if min_accuracy is None:
        return min(enough, key=lambda one: (-one.accuracy, one.bytes))
    return min(enough, key=lambda one: (one.bytes, -one.accuracy))


def _run_all(
    layers: FakeQuantizedLayers,
    before: tuple[int, ...],
    x: Array,
    labels: Array,
    bits: Sequence[int],
    metrics: Mapping[tuple[int, ...], RunningMetrics],
) -> None:
    """Runs every assignment that starts with the bits `before`, whose output is `x`; shared layers run once."""
    if len(before) == len(layers.places):
        if before in metrics:
            metrics[before].add(x, labels)
        return
    for level in bits:
        _run_all(layers, (*before, level), layers.run(layers.places[len(before)], level, x), labels, bits, metrics)


def _check_limits(budget_bytes: int | None, min_accuracy: float | None) -> None:
    if (budget_bytes is None) == (min_accuracy is None):
        raise ValueError("give either budget_bytes or min_accuracy")


def _bytes(chosen: Chosen) -> int:
    return sum(one.bytes for one in chosen.values())


def _predicted(chosen: Chosen) -> float:
    """The float network's accuracy less the drops of all layers, taken as additive."""
    some = next(iter(chosen.values()))
    return some.accuracy + some.drop - sum(one.drop for one in chosen.values())


def _cost_per_byte(now: LayerSensitivity, lower: LayerSensitivity) -> float:
    """Rise of the loss in nats for each byte saved."""
    return max(lower.loss_rise - now.loss_rise, MIN_COST) / (now.bytes - lower.bytes)


def _spend_rest(chosen: Chosen, sensitivities: Sequence[LayerSensitivity], budget_bytes: int) -> None:
    """Repeats the step to more bits that lowers the loss most, as long as one fits the budget."""
    while True:
        left = budget_bytes - _bytes(chosen)
        better = [one for one in sensitivities if 0 < one.bytes - chosen[one.layer].bytes <= left]
        better = [one for one in better if one.loss_rise < chosen[one.layer].loss_rise]
        if not better:
            return
        step = min(better, key=lambda one: one.loss_rise - chosen[one.layer].loss_rise)
        chosen[step.layer] = step
