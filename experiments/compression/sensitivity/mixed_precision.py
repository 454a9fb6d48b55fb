"""Mixed precision: bits for each layer under a budget of bytes or a floor of accuracy."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from experiments.bench.arrays import Array
from experiments.compression.sensitivity.layer_sensitivity import (
    WEIGHT_ONLY,
    Choice,
    FakeLayers,
    Score,
    Sensitivity,
    bytes_at,
    labelled,
)
from experiments.models.sequential.network import Network
from experiments.models.techniques.quantization.post_training import Calibration, QuantSpec

Taken = dict[str, Sensitivity]

MOST_ASSIGNMENTS = 4096  # the exhaustive search runs the last layer once for each
NEVER_WORSE = 1e-9  # nats: steps that cost nothing are told apart by the bytes they save


@dataclass(frozen=True)
class Assignment:
    """Bits for each layer, as `QuantSpec.layer_bits` takes them, and the bytes of all layers in the file.

    The accuracy is a prediction (the float network's less all drops) from `choose_bits`, measured by `search_bits`.
    """

    bits: Choice
    bytes: int
    accuracy: float


def choose_bits(
    found: Sequence[Sensitivity], budget_bytes: int | None = None, floor: float | None = None
) -> Assignment:
    """Greedy: from the most bits down, each time the step that costs the least loss for the bytes it saves.

    Either until the layers fit `budget_bytes`, then back up where they still fit; or as long as the predicted
    accuracy stays at `floor` or above. ValueError where neither or both are given, and where nothing will do.
    """
    _one_of(budget_bytes, floor)
    taken: Taken = {}
    for one in found:
        if one.layer not in taken or one.bits > taken[one.layer].bits:
            taken[one.layer] = one
    while budget_bytes is None or _bytes(taken) > budget_bytes:
        lower = [one for one in found if one.bytes < taken[one.layer].bytes]
        if floor is not None:
            lower = [one for one in lower if _predicted(taken | {one.layer: one}) >= floor]
        if not lower:
            break
        step = min(lower, key=lambda one: _price(taken[one.layer], one))
        taken[step.layer] = step
    if budget_bytes is not None and _bytes(taken) > budget_bytes:
        raise ValueError(f"budget_bytes: {budget_bytes} is too little; the fewest bits take {_bytes(taken)}")
    if floor is not None and _predicted(taken) < floor:
        raise ValueError(f"floor: even the most bits are predicted below an accuracy of {floor}")
    if budget_bytes is not None:
        _fill(taken, found, budget_bytes)
    return Assignment(tuple((layer, one.bits) for layer, one in taken.items()), _bytes(taken), _predicted(taken))


def search_bits(
    network: Network,
    weights: Mapping[str, Array],
    bits: Sequence[int],
    images: Array,
    labels: Array,
    budget_bytes: int | None = None,
    floor: float | None = None,
    spec: QuantSpec = WEIGHT_ONLY,
    calibration: Calibration | None = None,
) -> Assignment:
    """Every assignment tried: the most accurate within `budget_bytes`, or the smallest with an accuracy of `floor`.

    ValueError where there are more than 4,096 of them, or where none will do.
    """
    _one_of(budget_bytes, floor)
    places = network.walk()
    if len(bits) ** len(places) > MOST_ASSIGNMENTS:
        raise ValueError(f"bits: {len(bits)} for each of {len(places)} layers are more than {MOST_ASSIGNMENTS} cases")
    sizes: dict[tuple[int, ...], int] = {}
    for chosen in itertools.product(bits, repeat=len(places)):
        size = sum(bytes_at(place, spec, one) for place, one in zip(places, chosen, strict=True))
        if budget_bytes is None or size <= budget_bytes:
            sizes[chosen] = size
    fakes, scores = FakeLayers(network, weights, bits, spec, calibration), {chosen: Score() for chosen in sizes}
    for x, answers in labelled(network, images, labels):
        _try_all(fakes, (), x, answers, bits, scores)
    tried = [
        Assignment(tuple(zip((place.name for place in places), chosen, strict=True)), sizes[chosen], score.accuracy)
        for chosen, score in scores.items()
    ]
    enough = [one for one in tried if floor is None or one.accuracy >= floor]
    if not enough:
        raise ValueError("no assignment of these bits is small or accurate enough")
    return min(enough, key=lambda one: _rank(one, floor))


def _try_all(
    fakes: FakeLayers,
    before: tuple[int, ...],
    x: Array,
    labels: Array,
    bits: Sequence[int],
    scores: Mapping[tuple[int, ...], Score],
) -> None:
    """Scores every assignment that starts with the bits `before`, whose output is `x`: what they share runs once."""
    if len(before) == len(fakes.places):
        if before in scores:
            scores[before].add(x, labels)
        return
    for one in bits:
        _try_all(fakes, (*before, one), fakes.run(fakes.places[len(before)], one, x), labels, bits, scores)


def _rank(one: Assignment, floor: float | None) -> tuple[float, float]:
    return (-one.accuracy, one.bytes) if floor is None else (one.bytes, -one.accuracy)


def _one_of(budget_bytes: int | None, floor: float | None) -> None:
    if (budget_bytes is None) == (floor is None):
        raise ValueError("give either budget_bytes or floor")


def _bytes(taken: Taken) -> int:
    return sum(one.bytes for one in taken.values())


def _predicted(taken: Taken) -> float:
    """The float network's accuracy less the drops of all layers, as if they only added up."""
    some = next(iter(taken.values()))
    return some.accuracy + some.drop - sum(one.drop for one in taken.values())


def _price(now: Sensitivity, lower: Sensitivity) -> float:
    """Nats of loss for each byte saved."""
    return max(lower.loss_rise - now.loss_rise, NEVER_WORSE) / (now.bytes - lower.bytes)


def _fill(taken: Taken, found: Sequence[Sensitivity], budget_bytes: int) -> None:
    """Spends what is left of the budget where it lowers the loss most."""
    while True:
        left = budget_bytes - _bytes(taken)
        better = [one for one in found if 0 < one.bytes - taken[one.layer].bytes <= left]
        better = [one for one in better if one.loss_rise < taken[one.layer].loss_rise]
        if not better:
            return
        step = min(better, key=lambda one: one.loss_rise - taken[one.layer].loss_rise)
        taken[step.layer] = step
