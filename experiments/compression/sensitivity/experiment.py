"""Which layers tolerate fewer bits, and which mixed-precision assignment meets an accuracy loss or a budget."""

import math
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from experiments.bench.columns import Column, Value
from experiments.bench.rows import Row
from experiments.bench.session import Bench
from experiments.bench.spec import MeasuredSpec, experiment
from experiments.bench.statistics.intervals import wilson
from experiments.compression.sensitivity.answer import BEST, GREEDY, answer
from experiments.models.techniques.quantization.spec import QuantSpec

if TYPE_CHECKING:
    from experiments.compression.sensitivity.layer_sensitivity import LayerSensitivity
    from experiments.compression.sensitivity.mixed_precision import BitAssignment
    from experiments.models.data.mnist import Split
    from experiments.models.sequential.network import Network, Weights


class SensitivitySpec(MeasuredSpec):
    """A network, the bits to try, and the accuracy loss or the size allowed for mixed precision."""

    network: Literal["mlp", "lenet_300_100", "cnn", "lenet_5"] = Field(
        "lenet_300_100", title="Network", description="network with a bundled checkpoint, trained on MNIST"
    )
    bits: list[Annotated[int, Field(ge=2, le=8)]] = Field(
        [8, 6, 4, 3, 2],
        min_length=1,
        max_length=7,
        title="Bits",
        description="bits of the weights of one layer at a time",
    )
    loss: float = Field(
        0.005,
        ge=0,
        le=0.5,
        title="Accuracy loss allowed",
        description="accuracy that mixed precision may lose; 0.005 is half a percentage point",
    )
    budget_bytes: int = Field(
        0,
        ge=0,
        le=10**9,
        title="Budget [bytes]",
        description="largest size of all layers together, instead of an accuracy loss; 0: none",
    )
    batch: int = Field(1, ge=1, le=256, title="Batch", description="images of one timed call of a single layer")
    images: int = Field(
        5000,
        ge=100,
        le=5000,
        title="Validation images",
        description="validation images on which bits are chosen; the test set is not used",
    )


@experiment(
    section="Compression",
    title="Layer sensitivity",
    question="Which layers tolerate fewer bits, and which mixed-precision assignment is worth its bytes?",
    compares="each layer at fewer bits, and mixed precision within a budget",
    spec=SensitivitySpec,
    presets={
        "standard": SensitivitySpec(),
        "mlp": SensitivitySpec(network="mlp"),
        "quick": SensitivitySpec(network="mlp", bits=[8, 3, 2], images=1000, budget_s=0.3),
    },
    columns=[
        Column("network", "text", "the network"),
        Column("layer", "text", "the only quantized layer; empty for mixed precision"),
        Column("bits", "text", "bits of that layer, or of every layer with mixed precision"),
        *("accuracy", "accuracy_lo", "accuracy_hi"),
        Column("drop", "number", "validation accuracy lost against float32"),
        Column("weight_bytes", "integer", "size of all layers in the file"),
        Column("saved_bytes", "integer", "bytes saved compared with float32"),
        Column(
            "kept",
            "boolean",
            "whether the allowed accuracy loss or, if given, the budget of bytes is met",
            label="within limits",
        ),
        Column(
            "layer_speedup",
            "number",
            "speedup of this layer alone, int8 static over float32, median of the block ratios",
        ),
        Column("layer_speedup_lo", "number", "lower end of the 95% interval of layer_speedup"),
        Column("layer_speedup_hi", "number", "upper end of the 95% interval of layer_speedup"),
    ],
    grid=("network",),
    summary=("variant", "accuracy", "drop", "weight_bytes", "saved_bytes", "kept", "layer_speedup"),
    answer=answer,
)
def sensitivity(spec: SensitivitySpec, bench: Bench) -> Iterator[Row]:
    """Quantizes the weights of one layer at a time, always from the original ones, then assigns bits to all layers.

    Accuracy is that on the validation images (held out from training), with its Wilson interval. The greedy
    assignment repeats the step that costs the least loss per byte saved; where there are at most 4,096 assignments,
    all of them are tried as well. Weight-only quantization: per channel, symmetric, min-max range.
    `layer_speedup` compares one captured call of that layer alone, int8 static against float32; fewer than 8 bits
    are a storage format only and change no time. Not measured: the loss due to quantized activations.
    Source: the per-layer analyses of AIMET and ModelOpt, which stop at the sensitivity.
    """
    from experiments.compression.sensitivity.layer_sensitivity import layer_sensitivities
    from experiments.models.data.mnist import mnist
    from experiments.models.sequential.network import NETWORKS, parameter_count
    from experiments.models.training.checkpoints import load_checkpoint

    network, validation = NETWORKS[spec.network](), mnist().validation.first(spec.images)
    weights = load_checkpoint(network, device=bench.device).weights
    float_bytes = 4 * parameter_count(network)
    bench.progress(0.0, "timing each layer alone")
    speedups = _layer_speedups(spec, bench, network, weights)
    bench.progress(0.3, "one layer at a time")
    found = layer_sensitivities(network, weights, spec.bits, validation.images, validation.labels)
    for one in found:
        values: dict[str, Value] = {
            "layer": one.layer,
            "bits": str(one.bits),
            **speedups[one.layer],
            "accuracy": one.accuracy,
            "drop": one.drop,
        }
        yield _row(spec, f"{one.layer} int{one.bits}", float_bytes - one.saved_bytes, float_bytes, values)
    base = found[0].accuracy + found[0].drop
    for name, assignment in _assignments(spec, bench, network, weights, validation, found).items():
        accuracy = _accuracy(network, weights, assignment, validation)
        values = {
            "bits": " ".join(str(bits) for _, bits in assignment.bits),
            "accuracy": accuracy,
            "drop": base - accuracy,
        }
        yield _row(spec, name, assignment.bytes, float_bytes, values)


def _layer_speedups(
    spec: SensitivitySpec, bench: Bench, network: "Network", weights: "Weights"
) -> dict[str, dict[str, Value]]:
    """Int8 static against float32 for each layer, run as a network of one layer on random images."""
    import numpy as np

    from experiments.bench.tinygrad.capture import capture
    from experiments.bench.tinygrad.runtime import tensor
    from experiments.models.sequential.network import Network
    from experiments.models.techniques.quantization.post_training import calibrate, quantize
    from experiments.models.techniques.quantization.tinygrad_backend import build_forward

    found: dict[str, dict[str, Value]] = {}
    for place in network.walk():
        alone = Network(f"{network.name} {place.name}", (place.layer,), place.input_shape)
        own = {"layers.0.weight": weights[place.weight], "layers.0.bias": weights[place.bias]}
        images = np.random.default_rng(1).random((spec.batch, math.prod(place.input_shape)), dtype=np.float32)
        calibration, inputs = calibrate(alone, own, images), tensor(images, bench.device)
        calls = {}
        for scheme in ("float32", "static"):
            model = quantize(alone, own, QuantSpec(scheme=scheme), calibration)
            jit, _ = capture(build_forward(model, bench.device), inputs)
            calls[scheme] = partial(jit, inputs)
        ratio = bench.compare(calls, "float32").speedup("static")
        found[place.name] = {
            "layer_speedup": ratio.median,
            "layer_speedup_lo": ratio.lo,
            "layer_speedup_hi": ratio.hi,
        }
    return found


def _assignments(
    spec: SensitivitySpec,
    bench: Bench,
    network: "Network",
    weights: "Weights",
    validation: "Split",
    found: "list[LayerSensitivity]",
) -> "dict[str, BitAssignment]":
    """The greedy assignment and, where there are few enough to try, the best of all."""
    from experiments.compression.sensitivity.mixed_precision import MAX_ASSIGNMENTS, assign_bits, search_assignments

    limit: dict[str, Any] = {"min_accuracy": max(0.0, found[0].accuracy + found[0].drop - spec.loss)}
    if spec.budget_bytes:
        limit = {"budget_bytes": spec.budget_bytes}
    bench.progress(0.4, "assigning bits to layers")
    chosen = {GREEDY: assign_bits(found, **limit)}
    count = len(spec.bits) ** len(network.layers)
    if count <= MAX_ASSIGNMENTS:
        bench.progress(0.5, f"trying all {count} assignments")
        images, labels = validation.images, validation.labels
        chosen[BEST] = search_assignments(network, weights, spec.bits, images, labels, **limit)
    return chosen


def _accuracy(network: "Network", weights: "Weights", assignment: "BitAssignment", validation: "Split") -> float:
    """The measured validation accuracy of an assignment as it is stored."""
    from experiments.models.techniques.quantization.numpy_backend import accuracy_numpy
    from experiments.models.techniques.quantization.post_training import quantize

    mixed = quantize(network, weights, QuantSpec("weight_only", layer_bits=assignment.bits))
    return accuracy_numpy(mixed, validation.images, validation.labels)


def _row(spec: SensitivitySpec, variant: str, size: int, float_bytes: int, values: dict[str, Any]) -> Row:
    """The row of one variant whose layers take `size` bytes."""
    interval = wilson(round(values["accuracy"] * spec.images), spec.images)
    return Row(
        {
            "variant": variant,
            "network": spec.network,
            **values,
            "accuracy_lo": interval.lo,
            "accuracy_hi": interval.hi,
            "weight_bytes": size,
            "saved_bytes": float_bytes - size,
            "kept": size <= spec.budget_bytes if spec.budget_bytes else values["drop"] <= spec.loss + 1e-9,
        }
    )
