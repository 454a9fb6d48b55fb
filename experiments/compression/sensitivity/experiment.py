"""Which layers can take fewer bits, and which mixture of bits a loss of accuracy buys."""

import math
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import Field

from experiments.bench.columns import Column, Value
from experiments.bench.rows import Row
from experiments.bench.session import Bench
from experiments.bench.spec import MeasuredSpec, experiment
from experiments.bench.statistics.intervals import wilson
from experiments.models.techniques.quantization.post_training import QuantSpec

if TYPE_CHECKING:
    import pandas as pd

    from experiments.compression.sensitivity.mixed_precision import Assignment

Bits = Annotated[int, Field(ge=2, le=8)]
GREEDY, BEST = "greedy mixture", "best mixture"
MOST_MIXTURES = 4096


class SensitivitySpec(MeasuredSpec):
    """A network, the bits to try, and what the mixture may lose."""

    network: Literal["mlp", "lenet_300_100", "cnn", "lenet_5"] = Field(
        "lenet_300_100", title="Network", description="with the checkpoint that the project carries"
    )
    bits: list[Bits] = Field(
        [8, 6, 4, 3, 2], min_length=1, max_length=7, title="Bits", description="of the weights of one layer at a time"
    )
    loss: float = Field(
        0.005, ge=0, le=0.5, title="Accuracy to give up", description="by the mixture; 0.005 is half a point"
    )
    budget_bytes: int = Field(
        0,
        ge=0,
        le=10**9,
        title="Budget [bytes]",
        description="for all layers of the mixture, instead of an accuracy to give up; 0 is none",
    )
    batch: int = Field(1, ge=1, le=256, title="Batch", description="of the images on which each layer alone is timed")
    images: int = Field(
        5000,
        ge=100,
        le=5000,
        title="Validation images",
        description="on which all is chosen; the test set stays unseen",
    )


@experiment(
    section="Compression",
    title="Layer sensitivity",
    question="Which layers can take fewer bits, and which mixture of bits is worth its bytes?",
    compares="each layer at fewer bits, and mixtures within a budget",
    spec=SensitivitySpec,
    presets={
        "standard": SensitivitySpec(),
        "mlp": SensitivitySpec(network="mlp"),
        "quick": SensitivitySpec(network="mlp", bits=[8, 3, 2], images=1000, budget_s=0.3),
    },
    columns=[
        Column("network", "text", "the network"),
        Column("layer", "text", "the layer that alone was quantised; empty for a mixture"),
        Column("bits", "text", "of that layer, or of every layer of a mixture"),
        *("accuracy", "accuracy_lo", "accuracy_hi"),
        Column("drop", "number", "validation accuracy lost against float32"),
        Column("weight_bytes", "integer", "bytes of all layers in the file"),
        Column("saved_bytes", "integer", "bytes less than with float32"),
        Column("kept", "boolean", "whether no more is lost than was given up, or no more bytes taken than the budget"),
        Column("layer_speedup", "number", "this layer alone: float32 over int8 static, median of the block ratios"),
        Column("layer_speedup_lo", "number", "lower end of its 95 % interval"),
        Column("layer_speedup_hi", "number", "upper end of its 95 % interval"),
    ],
    grid=("network",),
    summary=("variant", "accuracy", "drop", "weight_bytes", "saved_bytes", "kept", "layer_speedup"),
    answer=lambda frame: answer(frame),
)
def sensitivity(spec: SensitivitySpec, bench: Bench) -> Iterator[Row]:
    """Quantises the weights of one layer at a time, every time from the original ones, then picks a mixture.

    Accuracy is that on the validation images (training images that were set aside), with its Wilson interval. The
    greedy mixture takes, step by step, the bits that cost the least loss for the bytes they save; beside it the
    best of all mixtures, where these are at most 4,096. Weights alone: per channel, symmetric, range by min-max.
    `layer_speedup` compares one captured call of that layer by itself, float32 and with 8-bit integers; bits below
    8 are stored, not computed with, so they change no time. Not measured: the activations' share of the loss.
    Source: the per-layer analyses of AIMET and ModelOpt, which stop at the sensitivity.
    """
    from experiments.compression.sensitivity.layer_sensitivity import sensitivity as measure
    from experiments.compression.sensitivity.mixed_precision import choose_bits, search_bits
    from experiments.models.data.mnist import mnist
    from experiments.models.sequential.network import NETWORKS, parameter_count
    from experiments.models.training.checkpoints import load_checkpoint

    network, chosen = NETWORKS[spec.network](), mnist().validation.first(spec.images)
    weights = load_checkpoint(network, device=bench.device).weights
    float_bytes = 4 * parameter_count(network)
    bench.progress(0.0, "timing each layer alone")
    speedups = _layer_speedups(spec, bench, network, weights)
    bench.progress(0.3, "one layer at a time")
    found = measure(network, weights, spec.bits, chosen.images, chosen.labels)
    for one in found:
        values: dict[str, Value] = {"layer": one.layer, "bits": str(one.bits), **speedups[one.layer]}
        yield _row(
            spec,
            f"{one.layer} int{one.bits}",
            one.accuracy,
            one.drop,
            float_bytes - one.saved_bytes,
            float_bytes,
            values,
        )
    base = found[0].accuracy + found[0].drop
    limit: dict[str, Any] = {"floor": max(0.0, base - spec.loss)}
    if spec.budget_bytes:
        limit = {"budget_bytes": spec.budget_bytes}
    bench.progress(0.4, "choosing a mixture")
    mixtures = {GREEDY: choose_bits(found, **limit)}
    if len(spec.bits) ** len(network.layers) <= MOST_MIXTURES:
        bench.progress(0.5, f"trying all {len(spec.bits) ** len(network.layers)} mixtures")
        mixtures[BEST] = search_bits(network, weights, spec.bits, chosen.images, chosen.labels, **limit)
    for name, mixture in mixtures.items():
        accuracy = _accuracy(network, weights, mixture, chosen)
        values = {"bits": " ".join(str(bits) for _, bits in mixture.bits)}
        yield _row(spec, name, accuracy, base - accuracy, mixture.bytes, float_bytes, values)


def _layer_speedups(spec: SensitivitySpec, bench: Bench, network: Any, weights: Any) -> dict[str, dict[str, Value]]:
    """Each layer as a network of its own on random images of its input's shape: int8 static beside float32."""

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
            quantized = quantize(alone, own, QuantSpec(scheme=scheme), calibration)
            jit, _ = capture(build_forward(quantized, bench.device), inputs)
            calls[scheme] = partial(jit, inputs)
        ratio = bench.compare(calls, "float32").speedup("static")
        found[place.name] = {
            "layer_speedup": ratio.median,
            "layer_speedup_lo": ratio.lo,
            "layer_speedup_hi": ratio.hi,
        }
    return found


def _accuracy(network: Any, weights: Any, mixture: "Assignment", chosen: Any) -> float:
    """The validation accuracy of a mixture as it is stored: measured, not predicted."""
    from experiments.models.techniques.quantization.numpy_backend import accuracy_numpy
    from experiments.models.techniques.quantization.post_training import quantize

    mixed = quantize(network, weights, QuantSpec("weight_only", layer_bits=mixture.bits))
    return accuracy_numpy(mixed, chosen.images, chosen.labels)


def _row(
    spec: SensitivitySpec,
    variant: str,
    accuracy: float,
    drop: float,
    stored: int,
    float_bytes: int,
    values: dict[str, Value],
) -> Row:
    right = wilson(round(accuracy * spec.images), spec.images)
    return Row(
        {
            "variant": variant,
            "network": spec.network,
            **values,
            "accuracy": accuracy,
            "accuracy_lo": right.lo,
            "accuracy_hi": right.hi,
            "drop": drop,
            "weight_bytes": stored,
            "saved_bytes": float_bytes - stored,
            "kept": stored <= spec.budget_bytes if spec.budget_bytes else drop <= spec.loss + 1e-9,
        }
    )


def answer(frame: "pd.DataFrame") -> str:
    """The mixture with its size and loss, and the most sensitive layer."""
    greedy = frame[frame["variant"] == GREEDY]
    alone = frame[frame["layer"].notna()]
    if greedy.empty or alone.empty:
        return ""
    one, worst = greedy.iloc[0], alone.nlargest(1, "drop").iloc[0]
    whole = one["weight_bytes"] + one["saved_bytes"]
    said = (
        f"Bits {one['bits']} for the layers of {one['network']} store it in {one['weight_bytes']:,} bytes, "
        f"{whole / one['weight_bytes']:.3g}x smaller, and lose {one['drop']:.2%} of the validation images"
    )
    best = frame[frame["variant"] == BEST]
    if len(best):
        said += f" (the best of all mixtures: {best.iloc[0]['weight_bytes']:,} bytes, {best.iloc[0]['drop']:.2%})"
    return f"{said}; most sensitive is {worst['layer']} at {worst['bits']} bits, which alone costs {worst['drop']:.2%}."
