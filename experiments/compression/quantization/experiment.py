"""What fewer bits cost in accuracy, and what they buy in bytes and time."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import Field

from experiments.bench.answers import bound_reason, describe_speedup
from experiments.bench.challenge import Achievement, Challenge, rows_where
from experiments.bench.columns import COMPILED, TIMED, Column, Value
from experiments.bench.profile import REASON
from experiments.bench.rows import Row
from experiments.bench.session import Bench, max_abs_error, timed_row, tolerance
from experiments.bench.spec import MeasuredSpec, experiment
from experiments.bench.statistics.intervals import wilson
from experiments.models.techniques.quantization.post_training import QuantSpec

if TYPE_CHECKING:
    import pandas as pd

    from experiments.compression.subjects import Subject
    from experiments.models.data.mnist import Split
    from experiments.models.techniques.quantization.post_training import Calibration, QuantizedNetwork

Bits = Annotated[int, Field(ge=2, le=8)]
BASELINE = "float32"
ATOL, RTOL = 1e-4, 1e-3  # the compiled network against its float twin in numpy, of the largest logit
SAME_SIZE = 1.02  # files this near to the smallest are told apart by time
KEPT = 0.002  # accuracy that a variant may lose and still be called as good as float32


class QuantizationSpec(MeasuredSpec):
    """A network, and the ways of storing and computing it that are compared with float32."""

    network: Literal["mlp", "lenet_300_100", "cnn", "lenet_5", "matvec"] = Field(
        "mlp",
        title="Network",
        description="with the checkpoint that the project carries, trained on MNIST; matvec: one untrained layer of "
        "4096 x 4096, whose 64 MiB of weights must come from memory at every call",
    )
    train: bool = Field(
        False, title="Train anew", description="instead of the carried checkpoint; the learning curve is shown"
    )
    scheme: list[Literal["float16", "static", "dynamic", "weight_only"]] = Field(
        ["float16", "static", "dynamic", "weight_only"],
        min_length=1,
        max_length=4,
        title="Schemes",
        description="static: calibrated activations, integer arithmetic end to end; dynamic: activation scale of each "
        "batch; weight_only: stored as integers, dequantised in the kernel (the course calls this dynamic)",
    )
    weight_bits: list[Bits] = Field(
        [8], min_length=1, max_length=7, title="Weight bits", description="of the integers that are stored"
    )
    activation_bits: list[Bits] = Field(
        [8], min_length=1, max_length=7, title="Activation bits", description="for static and dynamic"
    )
    granularity: list[Literal["per_channel", "per_tensor"]] = Field(
        ["per_channel"],
        min_length=1,
        max_length=2,
        title="Granularity",
        description="one weight scale per output, or one for the whole tensor",
    )
    symmetry: list[Literal["symmetric", "asymmetric"]] = Field(
        ["symmetric"], min_length=1, max_length=2, title="Symmetry", description="of the weights' range around zero"
    )
    observer: list[Literal["minmax", "percentile", "mse", "entropy"]] = Field(
        ["minmax"], min_length=1, max_length=4, title="Observers", description="that choose the range of activations"
    )
    calibration_images: int = Field(
        512, ge=1, le=5000, title="Calibration images", description="of the training set, for static"
    )
    batch: list[Annotated[int, Field(ge=1, le=1024)]] = Field(
        [1, 32, 256], min_length=1, max_length=6, title="Batch sizes", description="images of one call"
    )

    @property
    def variants(self) -> dict[str, QuantSpec]:
        """The variants by name, float32 first; what a scheme does not use makes no further variant."""
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
        """`int8 static`, with what else was chosen from where there was a choice."""
        if one.scheme == "float16":
            return "float16"
        said = [f"int{one.weight_bits}", one.scheme.replace("_", " ")]
        if one.activation_bits is not None and len(self.activation_bits) > 1:
            said.append(f"a{one.activation_bits}")
        said += [one.granularity.replace("_", " ")] if len(self.granularity) > 1 else []
        said += [one.symmetry] if len(self.symmetry) > 1 else []
        said += [one.observer] if len(self.observer) > 1 and one.scheme == "static" else []
        return " ".join(said)


LAYER = Column("layer", "text", "name of the layer")
TENSOR = Column("tensor", "text", "weight or activation")
VARIANT = Column("variant", "text", "the quantised variant")


@experiment(
    section="Compression",
    title="Quantization",
    question="What do fewer bits cost in accuracy, and what do they save in bytes and time?",
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
        Column("scheme", "text", "how the integers are used"),
        Column("weight_bits", "integer", "bits of a stored weight"),
        Column("activation_bits", "integer", "bits of an activation; empty where they stay float32"),
        Column("granularity", "text", "of the weight scales"),
        Column("symmetry", "text", "of the weight ranges"),
        Column("observer", "text", "that chose the activation ranges; empty where none is needed"),
        *("accuracy", "accuracy_lo", "accuracy_hi"),
        Column("agreement", "number", "share of the test images that are classified as float32 classifies them"),
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
    details={
        "learning": [
            Column("epoch", "integer", "passes over the training images"),
            Column("train_loss", "number", "mean cross-entropy of the epoch"),
            Column("validation_accuracy", "number", "on the 5,000 validation images"),
            Column("learning_rate", "number", "at the end of the epoch"),
        ],
        "layers": [
            *(VARIANT, LAYER, TENSOR),
            Column("bits", "integer", "of the grid"),
            Column("scales", "integer", "how many the tensor has"),
            Column("scale_min", "number", "smallest scale of the tensor"),
            Column("scale_max", "number", "largest scale; the same where there is one"),
            Column("zero_point", "integer", "where there is one scale; empty where there are several"),
            Column("lo", "number", "lower end of the range"),
            Column("hi", "number", "upper end of the range"),
            Column("clipped", "number", "share of the values outside"),
            Column("sqnr_db", "number", "signal to quantization noise", "dB"),
        ],
        "calibration": [
            *(LAYER, TENSOR),
            Column("observer", "text", "who chose the range on the same histogram"),
            Column("chosen", "boolean", "by the first static variant"),
            Column("bits", "integer", "of the grid"),
            Column("lo", "number", "lower end of the range"),
            Column("hi", "number", "upper end of the range"),
            Column("clipped", "number", "share of the values outside"),
            Column("mse", "number", "mean squared error of rounding and clipping"),
            Column("sqnr_db", "number", "signal to quantization noise", "dB"),
        ],
        "histograms": [
            *(LAYER, TENSOR),
            Column("bin_lo", "number", "lower edge of the bin"),
            Column("bin_hi", "number", "upper edge of the bin"),
            Column("count", "integer", "values in the bin"),
        ],
    },
    inspects=True,
    answer=lambda frame: answer(frame),
    challenge=Challenge(
        goal="Keep the CNN within 1 point of its float32 accuracy in a file at least 5x smaller.",
        question="Why is it not smaller still? What is in the file beside the weights?",
        start="exercise",
        met=lambda frame: five_times(frame),
    ),
)
def quantization(spec: QuantizationSpec, bench: Bench) -> Iterator[Row]:
    """Quantises a trained network after training, stores each variant in one file, restores it and uses it.

    Accuracy is that of the restored file on the whole MNIST test set of 10,000, computed in numpy with the
    variant's own arithmetic; `size_bytes` is that file. Calibration sees training images alone; nothing is chosen
    by the test set. Latency is one call of the captured network with its images on the device. The reference of
    `max_abs_error` is the fake-quantised twin in numpy, so that a wrong kernel is told from the loss that the
    technique has by design, which shows in `accuracy`.
    Not measured: quantization-aware training, BEAM, getting images to the device.
    Source: Jacob et al. 2018 (integer arithmetic), Nagel et al. 2021 (white paper on quantization).
    """
    from experiments.compression.subjects import subject_of
    from experiments.models.format.packed import pack
    from experiments.models.sequential.network import parameter_count
    from experiments.models.techniques.quantization.post_training import calibrate, quantize

    subject = subject_of(spec.network, max(spec.batch), spec.calibration_images, spec.train, bench)
    bench.progress(0, "calibrating")
    calibration = calibrate(subject.network, subject.weights, subject.calibration)
    _report(spec, bench, subject, calibration)
    made: dict[str, Made] = {}
    variants = spec.variants
    for number, (name, one) in enumerate(variants.items()):
        bench.progress(number / (2 * len(variants)), f"{name}: quantising, packing, restoring, testing")
        file = pack(quantize(subject.network, subject.weights, one, calibration))
        if subject.test:  # the files of an untrained layer are of no use to anybody
            bench.artifact(f"{spec.network} {name}.tinylab", file)
        made[name] = Made.of(file, 4 * parameter_count(subject.network), subject.test, made.get(BASELINE))
    for number, batch in enumerate(dict.fromkeys(spec.batch)):
        bench.progress(0.5 + number / (2 * len(spec.batch)), f"batch {batch}: measuring {len(made)} variants")
        yield from _measure(spec, bench, made, batch, subject.images[:batch])


@dataclass(frozen=True)
class Made:
    """One variant as its file restores it, what it says of each test image, and the columns that follow."""

    quantized: "QuantizedNetwork"
    said: Any
    values: dict[str, Value]

    @classmethod
    def of(cls, file: bytes, float_bytes: int, test: "Split | None", baseline: "Made | None") -> "Made":
        """Restores the file and classifies the whole test set, where there is one, with what it holds."""
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
        said = np.argmax(logits_numpy(restored, test.images), axis=1)
        right = wilson(int((said == test.labels).sum()), len(said))
        values |= {
            "accuracy": right.median,
            "accuracy_lo": right.lo,
            "accuracy_hi": right.hi,
            "agreement": float((said == baseline.said).mean()) if baseline else 1.0,
        }
        return cls(restored, said, values)


def _report(spec: QuantizationSpec, bench: Bench, subject: "Subject", calibration: "Calibration") -> None:
    """The details on ranges: of every variant by layer, of all observers on the same histograms."""
    from experiments.compression.quantization.reports import calibration_report, histogram_report, layer_report
    from experiments.models.techniques.quantization.post_training import quantize

    network, weights = subject.network, subject.weights
    for name, one in spec.variants.items():
        if not one.is_float:
            records = layer_report(weights, quantize(network, weights, one, calibration), calibration)
            bench.detail("layers", [{"variant": name, **record} for record in records])
    static = next((one for one in spec.variants.values() if one.scheme == "static"), QuantSpec())
    bench.detail("calibration", calibration_report(network, weights, static, calibration))
    bench.detail("histograms", histogram_report(network, weights, calibration))


def _measure(spec: QuantizationSpec, bench: Bench, made: dict[str, Made], batch: int, images: Any) -> Iterator[Row]:
    from tinygrad import Context

    from experiments.bench.tinygrad.capture import capture, captured_work
    from experiments.bench.tinygrad.runtime import tensor
    from experiments.compression.quantization.program_forms import forms_of
    from experiments.models.techniques.quantization.numpy_backend import fake_quantized_forward_numpy

    inputs = tensor(np.ascontiguousarray(images, dtype=np.float32), bench.device)
    forms = forms_of({name: one.quantized for name, one in made.items()}, batch, bench.device)
    jits, errors, limits = {}, {}, {}
    for name, form in forms.items():
        with Context(NOOPT=int(form.noopt)):  # compiled here; a replay needs no context
            jits[name], result = capture(form.function, inputs)
        reference = fake_quantized_forward_numpy(made[form.of].quantized, images, batch)
        errors[name], limits[name] = max_abs_error(result.numpy(), reference), tolerance(reference, ATOL, RTOL)
    measured = bench.compare({name: partial(jit, inputs) for name, jit in jits.items()}, BASELINE)
    for name, form in forms.items():
        latency_s, work = measured.latency(name).median, captured_work(jits[name])
        point: dict[str, Value] = {"network": spec.network, "batch": batch}
        with Context(NOOPT=int(form.noopt)):  # the inspector captures once more
            reasons = bench.inspect({name: latency_s}, form.function, jits[name], [inputs], **point)
        values: dict[str, Any] = {
            **point,
            **_used(made[form.of].quantized.spec),
            **made[form.of].values,
            **work.columns(latency_s),
            **reasons[name],
            "max_abs_error": errors[name],
        }
        yield timed_row(measured, name, wrong=errors[name] > limits[name], **values)


def _used(spec: QuantSpec) -> dict[str, Value]:
    """The columns that say how a variant is quantised; what it does not use is empty."""
    return {
        "scheme": spec.scheme,
        "weight_bits": spec.weight_bits,
        "activation_bits": spec.activation_bits,
        "granularity": None if spec.is_float else spec.granularity,
        "symmetry": None if spec.is_float else spec.symmetry,
        "observer": spec.observer if spec.scheme == "static" else None,
    }


def answer(frame: "pd.DataFrame") -> str:
    """Accuracy, size and time of the smallest variant that keeps the accuracy, at the last batch."""
    rows = frame[(frame["variant"] != BASELINE) & frame["speedup"].notna()]
    base = frame[frame["variant"] == BASELINE]
    if rows.empty or base.empty:
        return ""
    tested = base["accuracy"].notna().all()
    last = rows[rows["batch"] == rows["batch"].iloc[-1]]
    kept = last[last["accuracy"] >= base["accuracy"].iloc[0] - KEPT] if tested else last
    kept = kept if len(kept) else last
    best = kept[kept["size_bytes"] <= kept["size_bytes"].min() * SAME_SIZE].nlargest(1, "speedup").iloc[0]
    said = (
        f"On {best['device']} {best['variant']} stores {best['network']} in {best['size_bytes']:,} bytes, "
        f"{best['compression']:.3g}x smaller,"
    )
    if tested:
        said += (
            f" classifies {best['accuracy']:.2%} of the test set rightly (95 % {best['accuracy_lo']:.2%} to "
            f"{best['accuracy_hi']:.2%}; float32 {base['accuracy'].iloc[0]:.2%}),"
        )
    return f"{said} and {describe_speedup(best, 'a call')} at batch {best['batch']}{bound_reason(best)}."


def five_times(frame: "pd.DataFrame") -> Achievement | None:
    """The smallest file that meets the challenge: the CNN, at least 5x smaller, at most 1 point below float32."""
    cnn = rows_where(frame, frame["network"] == "cnn")
    base = cnn[cnn["variant"] == BASELINE]["accuracy"].max()
    rows = rows_where(cnn, cnn["compression"] >= 5, cnn["accuracy"] >= base - 0.01, cnn["verdict"] != "wrong")
    if rows.empty:
        return None
    best = rows.sort_values("size_bytes").iloc[0]
    bits = int(best["parameters"] * best["weight_bits"] / 8)
    return Achievement(
        f"{best['variant']} holds the CNN in {best['size_bytes']:,} bytes, {best['compression']:.3g}x smaller, and "
        f"classifies {best['accuracy']:.2%} of the test set rightly (float32 {base:.2%}).",
        f"{best['parameters']:,} parameters of {best['weight_bits']} bits are {bits:,} bytes; the other "
        f"{best['size_bytes'] - bits:,} are what has to stay precise (scales, biases) and what describes the file.",
    )
