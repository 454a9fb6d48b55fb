"""Quantization: accuracy, size and latency of a network at fewer bits."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from experiments.bench.challenge import Challenge
from experiments.bench.columns import COMPILED, TIMED, Column, Value
from experiments.bench.profile import REASON
from experiments.bench.rows import Row
from experiments.bench.session import Bench, max_abs_error, timed_row, tolerance
from experiments.bench.spec import MeasuredSpec, experiment
from experiments.bench.statistics.intervals import wilson
from experiments.compression.quantization.answer import BASELINE, answer, five_times
from experiments.compression.quantization.details import DETAILS
from experiments.models.techniques.quantization.spec import QuantSpec

if TYPE_CHECKING:
    from experiments.bench.arrays import Array
    from experiments.compression.original_models import OriginalModel
    from experiments.models.data.mnist import Split
    from experiments.models.techniques.quantization.post_training import Calibration, QuantizedNetwork

Bits = Annotated[int, Field(ge=2, le=8)]


class QuantizationSpec(MeasuredSpec):
    """A network, and the quantization schemes compared with float32."""

    network: Literal["mlp", "lenet_300_100", "cnn", "lenet_5", "matvec"] = Field(
        "mlp",
        title="Network",
        description="bundled checkpoint, trained on MNIST; matvec: one untrained layer of 4096 x 4096, whose "
        "64 MiB of weights are read from memory at every call",
    )
    train: bool = Field(
        False,
        title="Train anew",
        description="train the network instead of using the bundled checkpoint; shows the learning curve",
    )
    scheme: list[Literal["float16", "static", "dynamic", "weight_only"]] = Field(
        ["float16", "static", "dynamic", "weight_only"],
        min_length=1,
        max_length=4,
        title="Schemes",
        description="static: calibrated activations, integer arithmetic end to end; dynamic: activation scale computed "
        "for each batch; weight_only: stored as integers, dequantized in the kernel (the course calls this dynamic)",
    )
    weight_bits: list[Bits] = Field(
        [8], min_length=1, max_length=7, title="Weight bits", description="bits of the stored integers"
    )
    activation_bits: list[Bits] = Field(
        [8],
        min_length=1,
        max_length=7,
        title="Activation bits",
        description="bits of the integer activations of static and dynamic",
    )
    granularity: list[Literal["per_channel", "per_tensor"]] = Field(
        ["per_channel"],
        min_length=1,
        max_length=2,
        title="Granularity",
        description="one weight scale per output, or one for the whole tensor",
    )
    symmetry: list[Literal["symmetric", "asymmetric"]] = Field(
        ["symmetric"],
        min_length=1,
        max_length=2,
        title="Symmetry",
        description="whether the range of the weights is symmetric around zero",
    )
    observer: list[Literal["minmax", "percentile", "mse", "entropy"]] = Field(
        ["minmax"],
        min_length=1,
        max_length=4,
        title="Observers",
        description="methods that choose the range of the activations",
    )
    calibration_images: int = Field(
        512, ge=1, le=5000, title="Calibration images", description="training images on which static chooses its ranges"
    )
    batch: list[Annotated[int, Field(ge=1, le=1024)]] = Field(
        [1, 32, 256], min_length=1, max_length=6, title="Batch sizes", description="images of one call"
    )

    @property
    def variants(self) -> dict[str, QuantSpec]:
        """The variants by name, float32 first; options that a scheme does not use add no variant."""
        found = {BASELINE: QuantSpec(scheme="float32")}
        choices = itertools.product(
            self.scheme, self.weight_bits, self.activation_bits, self.granularity, self.symmetry, self.observer
        )
        for scheme, weight_bits, activation_bits, granularity, symmetry, observer in choices:
            one = QuantSpec(
                scheme=scheme,
                weight_bits=weight_bits,
                activation_bits=activation_bits,
                granularity=granularity,
                symmetry=symmetry,
                observer=observer,
            )
            found.setdefault(self.name_of(one), one)
        return found

    def name_of(self, one: QuantSpec) -> str:
        """`int8 static`, followed by the options of which the spec has several."""
        if one.scheme == "float16":
            return "float16"
        words = [f"int{one.weight_bits}", one.scheme.replace("_", " ")]
        if one.activation_bits is not None and len(self.activation_bits) > 1:
            words.append(f"a{one.activation_bits}")
        words += [one.granularity.replace("_", " ")] if len(self.granularity) > 1 else []
        words += [one.symmetry] if len(self.symmetry) > 1 else []
        words += [one.observer] if len(self.observer) > 1 and one.scheme == "static" else []
        return " ".join(words)


@experiment(
    section="Compression",
    title="Quantization",
    question="What do fewer bits cost in accuracy, and what do they save in size and time?",
    compares="float32, float16, static, dynamic, weight only, at 2 to 8 bits",
    spec=QuantizationSpec,
    presets={
        "course": QuantizationSpec(batch=[32]),
        "exercise": QuantizationSpec(network="cnn", batch=[32]),
        "bits": QuantizationSpec(
            scheme=["static", "weight_only"],
            weight_bits=[8, 6, 4, 3, 2],
            granularity=["per_channel", "per_tensor"],
            batch=[32],
            budget_s=2,
        ),
        "observers": QuantizationSpec(
            scheme=["static"],
            weight_bits=[8],
            activation_bits=[8, 4],
            observer=["minmax", "percentile", "mse", "entropy"],
            batch=[32],
            budget_s=2,
        ),
        "bandwidth": QuantizationSpec(network="matvec", batch=[1, 256]),
        "quick": QuantizationSpec(scheme=["static"], batch=[1], budget_s=0.3),
    },
    columns=[
        Column("network", "text", "the network"),
        Column("batch", "integer", "images of one call"),
        Column("scheme", "text", "quantization scheme"),
        Column("weight_bits", "integer", "bits of a stored weight"),
        Column("activation_bits", "integer", "bits of an activation; empty if they stay float32"),
        Column("granularity", "text", "one weight scale per tensor, or one per output channel"),
        Column("symmetry", "text", "whether weight ranges are symmetric around zero"),
        Column("observer", "text", "method that chose the activation ranges; empty if none is needed"),
        *("accuracy", "accuracy_lo", "accuracy_hi"),
        Column("agreement", "number", "share of the test images with the same prediction as float32"),
        *("parameters", "size_bytes", "compression"),
        *TIMED,
        *COMPILED,
        *REASON,
        "max_abs_error",
    ],
    grid=("network", "batch"),
    summary=(
        *("batch", "variant", "accuracy", "agreement", "size_bytes", "compression"),
        *("latency_ms", "speedup", "verdict", "bound"),
    ),
    details=DETAILS,
    inspects=True,
    answer=answer,
    challenge=Challenge(
        goal="Keep the CNN within 1 percentage point of its float32 accuracy in a file at least 5x smaller.",
        question="Why is it not even smaller? What else is in the file?",
        start="exercise",
        met=five_times,
    ),
)
def quantization(spec: QuantizationSpec, bench: Bench) -> Iterator[Row]:
    """Quantizes a network after training, stores each variant in one file, restores it and measures it.

    Accuracy is that of the restored file on the whole MNIST test set of 10,000, computed in numpy with the
    variant's own arithmetic; `size_bytes` is that file. Calibration uses training images only; nothing is chosen
    by the test set. Latency is one call of the captured network with its images on the device. The reference of
    `max_abs_error` is the fake-quantized network in numpy: a wrong kernel shows there, the loss by quantization
    itself in `accuracy`.
    Not measured: quantization-aware training, BEAM, copying images to the device.
    Source: Jacob et al. 2018 (integer arithmetic), Nagel et al. 2021 (white paper on quantization).
    """
    from experiments.compression.original_models import original_model
    from experiments.models.format.packed import pack
    from experiments.models.sequential.network import parameter_count
    from experiments.models.techniques.quantization.post_training import calibrate, quantize

    original = original_model(spec.network, max(spec.batch), spec.calibration_images, spec.train, bench)
    bench.progress(0, "calibrating")
    calibration = calibrate(original.network, original.weights, original.calibration)
    _report_details(spec, bench, original, calibration)
    variants: dict[str, QuantizedVariant] = {}
    float_bytes, count = 4 * parameter_count(original.network), len(spec.variants)
    for number, (name, quant) in enumerate(spec.variants.items()):
        bench.progress(number / (2 * count), f"{name}: quantizing, packing, restoring, testing")
        file = pack(quantize(original.network, original.weights, quant, calibration))
        if original.test:  # the file of an untrained layer has no use
            bench.artifact(f"{spec.network} {name}.tinylab", file)
        variants[name] = QuantizedVariant.of(file, float_bytes, original.test, variants.get(BASELINE))
    for number, batch in enumerate(dict.fromkeys(spec.batch)):
        bench.progress(0.5 + number / (2 * len(spec.batch)), f"batch {batch}: measuring {count} variants")
        yield from _measure(spec, bench, variants, batch, original.images[:batch])


@dataclass(frozen=True)
class QuantizedVariant:
    """One variant restored from its file, its prediction for each test image, and its columns on size and accuracy."""

    quantized: "QuantizedNetwork"
    predictions: "Array | None"
    values: dict[str, Value]

    @classmethod
    def of(
        cls, file: bytes, float_bytes: int, test: "Split | None", baseline: "QuantizedVariant | None"
    ) -> "QuantizedVariant":
        """Restores the file and, if there is a test set, classifies all of it."""
        import numpy as np

        from experiments.models.format.packed import unpack
        from experiments.models.techniques.quantization.numpy_backend import logits_numpy

        restored = unpack(file)
        values: dict[str, Value] = {
            "parameters": float_bytes // 4,
            "size_bytes": len(file),
            "compression": float_bytes / len(file),
        }
        if test is None:
            return cls(restored, None, values)
        predictions = np.argmax(logits_numpy(restored, test.images), axis=1)
        accuracy = wilson(int((predictions == test.labels).sum()), len(predictions))
        values |= {
            "accuracy": accuracy.median,
            "accuracy_lo": accuracy.lo,
            "accuracy_hi": accuracy.hi,
            "agreement": float((predictions == baseline.predictions).mean()) if baseline else 1.0,
        }
        return cls(restored, predictions, values)


def _report_details(
    spec: QuantizationSpec, bench: Bench, original: "OriginalModel", calibration: "Calibration"
) -> None:
    """The details on ranges: of every variant by layer, of all observers on the same histograms."""
    from experiments.compression.quantization.detail_records import (
        calibration_records,
        histogram_records,
        layer_records,
    )
    from experiments.models.techniques.quantization.post_training import quantize

    network, weights = original.network, original.weights
    for name, quant in spec.variants.items():
        if not quant.is_float:
            records = layer_records(weights, quantize(network, weights, quant, calibration), calibration)
            bench.detail("layers", [{"variant": name, **record} for record in records])
    static = next((quant for quant in spec.variants.values() if quant.scheme == "static"), QuantSpec())
    bench.detail("calibration", calibration_records(network, weights, static, calibration))
    bench.detail("histograms", histogram_records(network, weights, calibration))


def _measure(
    spec: QuantizationSpec, bench: Bench, variants: dict[str, QuantizedVariant], batch: int, images: Any
) -> Iterator[Row]:
    """The rows of all programs at one batch size, timed side by side."""
    import numpy as np
    from tinygrad import Context

    from experiments.bench.tinygrad.capture import capture, captured_work
    from experiments.bench.tinygrad.runtime import tensor
    from experiments.compression.quantization.programs import programs_of
    from experiments.models.compiled import ATOL, RTOL
    from experiments.models.techniques.quantization.numpy_backend import fake_quantized_forward_numpy

    inputs = tensor(np.ascontiguousarray(images, dtype=np.float32), bench.device)
    programs = programs_of({name: one.quantized for name, one in variants.items()}, batch, bench.device)
    jits, errors, limits = {}, {}, {}
    for name, program in programs.items():
        with Context(NOOPT=int(program.noopt)):  # compiled here; a replay needs no context
            jits[name], output = capture(program.function, inputs)
        reference = fake_quantized_forward_numpy(variants[program.of].quantized, images, batch)
        errors[name], limits[name] = max_abs_error(output.numpy(), reference), tolerance(reference, ATOL, RTOL)
    measured = bench.compare({name: partial(jit, inputs) for name, jit in jits.items()}, BASELINE)
    for name, program in programs.items():
        latency_s, work = measured.latency(name).median, captured_work(jits[name])
        point: dict[str, Value] = {"network": spec.network, "batch": batch}
        with Context(NOOPT=int(program.noopt)):  # `inspect` captures once more
            reasons = bench.inspect({name: latency_s}, program.function, jits[name], [inputs], **point)
        values: dict[str, Any] = {
            **point,
            **_scheme_columns(variants[program.of].quantized.spec),
            **variants[program.of].values,
            **work.columns(latency_s),
            **reasons[name],
            "max_abs_error": errors[name],
        }
        yield timed_row(measured, name, wrong=errors[name] > limits[name], **values)


def _scheme_columns(spec: QuantSpec) -> dict[str, Value]:
    """The columns on how a variant is quantized; options that it does not use are empty."""
    return {
        "scheme": spec.scheme,
        "weight_bits": spec.weight_bits,
        "activation_bits": spec.activation_bits,
        "granularity": None if spec.is_float else spec.granularity,
        "symmetry": None if spec.is_float else spec.symmetry,
        "observer": spec.observer if spec.scheme == "static" else None,
    }
