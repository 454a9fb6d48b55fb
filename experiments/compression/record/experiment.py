"""The smallest file of a network without accuracy loss, with all techniques combined."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, model_validator

from experiments.bench.columns import Column
from experiments.bench.rows import Row
from experiments.bench.session import Bench
from experiments.bench.spec import Spec, experiment
from experiments.bench.statistics.intervals import wilson
from experiments.compression.record.answer import answer
from experiments.models.training.settings import COMPILE_S, STEP_S, TRAINING_STEPS

if TYPE_CHECKING:
    from experiments.compression.record.pipeline import PipelineSettings, StageFile
    from experiments.models.data.mnist import Split
    from experiments.models.sequential.network import Network
    from experiments.models.techniques.quantization.post_training import QuantizedNetwork

Width = Annotated[int, Field(ge=1, le=500)]
HIDDEN = {"mlp": (128,), "lenet_300_100": (300, 100), "lenet_5": (20, 50, 500)}
STEPS_PER_EPOCH = 430
TEACHER_S = {"lenet_5": 150.0, "base": 20.0}  # logits of all shifts of all training images, on 2 CPU cores
STEP_FACTOR = 1.3  # cost of a step with teacher, masks and codebooks, relative to a plain step


class RecordSpec(Spec):
    """A network, and the strength of each technique."""

    network: Literal["mlp", "lenet_300_100", "lenet_5"] = Field(
        "lenet_300_100", title="Network", description="trained on MNIST for each seed; seed 0 is bundled"
    )
    widths: list[Width] = Field(
        [],
        max_length=3,
        title="Units kept",
        description="units that each hidden layer keeps; the others are pruned first, by L2 norm; empty: all are kept",
    )
    shrink_epochs: float = Field(
        10, ge=0.01, le=100, title="Epochs after that", description="epochs of fine-tuning before weights are pruned"
    )
    sparsity: float = Field(
        0.95,
        ge=0,
        le=0.999,
        title="Sparsity",
        description="share of the remaining weights that gradual LAMP pruning sets to zero",
    )
    bits: int = Field(3, ge=1, le=6, title="Codebook bits", description="bits of a nonzero weight, per layer")
    bias_bits: int = Field(
        4, ge=1, le=6, title="Bias bits", description="bits of a bias, which has a separate codebook"
    )
    epochs: float = Field(
        40,
        ge=0.01,
        le=400,
        title="Epochs",
        description="60% pruning, 15% fine-tuning, 25% with codebooks",
    )
    rate: float = Field(
        4e-3,
        ge=1e-5,
        le=0.1,
        title="Learning rate",
        description="Adam's learning rate at the start of these epochs; decays to 0",
    )
    teacher: Literal["lenet_5", "base"] = Field(
        "lenet_5",
        title="Teacher",
        description="network whose logits are distilled: the bundled LeNet-5, or the base itself",
    )
    temperature: float = Field(3, ge=0.5, le=20, title="Temperature", description="temperature T of the distillation")
    alpha: float = Field(
        0.7, ge=0, le=1, title="Teacher's share", description="weight of the teacher in the loss; 0: labels only"
    )
    shift: int = Field(1, ge=0, le=2, title="Shift [pixels]", description="maximum shift of the training images")
    seeds: list[Annotated[int, Field(ge=0, le=10**6)]] = Field(
        [0],
        min_length=1,
        max_length=10,
        title="Seeds",
        description="number of trainings, each with another random seed; use three for a median",
    )

    @model_validator(mode="after")
    def _widths_fit(self) -> "RecordSpec":
        widths = HIDDEN[self.network]
        if self.widths and (
            len(self.widths) != len(widths) or any(a > b for a, b in zip(self.widths, widths, strict=True))
        ):
            raise ValueError(
                f"widths: {self.text('widths')} is not allowed; {self.network} has {len(widths)} hidden layers of "
                f"{', '.join(map(str, widths))} units; give as many widths, none larger, or none at all"
            )
        return self


@experiment(
    section="Compression",
    title="Smallest file",
    question="How small can the file of a network be without losing accuracy?",
    compares="base, shrunk, pruned, codebook, file",
    spec=RecordSpec,
    presets={
        "lenet_300_100": RecordSpec(widths=[100, 50], seeds=[0, 1, 2]),
        "lenet_5": RecordSpec(
            network="lenet_5",
            widths=[16, 40, 160],
            shrink_epochs=8,
            sparsity=0.96,
            epochs=40,
            rate=2e-3,
            seeds=[0, 1, 2],
        ),
        "quick": RecordSpec(
            network="mlp", widths=[32], shrink_epochs=0.1, sparsity=0.9, epochs=0.4, rate=2e-3, teacher="base", shift=0
        ),
    },
    columns=[
        Column("network", "text", "the network"),
        Column("seed", "integer", "random seed of the training"),
        Column("structure", "text", "outputs of each layer"),
        *("parameters", "nonzero", "size_bytes", "compression"),
        *("accuracy", "accuracy_lo", "accuracy_hi"),
        Column("validation_accuracy", "number", "top-1 accuracy on the validation images, used for every choice"),
        Column("validation_lo", "number", "lower end of the 95% Wilson interval of validation_accuracy"),
        Column("validation_hi", "number", "upper end of the 95% Wilson interval of validation_accuracy"),
    ],
    grid=("network", "seed"),
    summary=("variant", "seed", "structure", "nonzero", "size_bytes", "compression", "validation_accuracy", "accuracy"),
    plan=lambda spec: plan(spec),
    answer=answer,
)
def record(spec: RecordSpec, bench: Bench) -> Iterator[Row]:
    """Applies every technique in turn to a trained network, and measures the file of each stage.

    Stages: `base`, trained in float32; `shrunk`, units pruned, fine-tuned; `pruned`, most weights 0, by gradual LAMP
    pruning during the last training; `codebook`, at its end, the weights of each layer restricted to a few shared
    values; `file`, dead units removed, float16 values. All training after the base also distills a teacher's logits.
    Every row is measured on the model restored from the stage's file, whose size counts everything: positions,
    symbols, codebooks, biases, names, checksum. `compression` is against the base's float32 weights. The code of the
    decoder is not counted. `accuracy` is that of the test images, which are not used for any choice.
    Not measured: time; zeros at arbitrary positions give no speed.
    Source: Han et al. 2016 (Deep Compression), Lee et al. 2021 (LAMP), Hinton et al. 2015 (distillation).
    """
    from experiments.compression.record.pipeline import Pipeline
    from experiments.models.data.mnist import mnist
    from experiments.models.sequential.network import NETWORKS, lenet_5
    from experiments.models.techniques.teacher_logits import cached_teacher_logits
    from experiments.models.training.checkpoints import load_checkpoint
    from experiments.models.training.feeding import Teacher

    network, data = NETWORKS[spec.network](), mnist()
    pipeline, logits = None, None
    for turn, seed in enumerate(spec.seeds):

        def progress(done: float, message: str, *_: Any, turn: int = turn, seed: int = seed) -> None:
            bench.progress((turn + done) / len(spec.seeds), f"seed {seed}: {message}")

        progress(0.0, "the base")
        base = load_checkpoint(
            network, _base_settings(spec, seed), device=bench.device, progress=lambda _, *what: progress(0, *what)
        )
        if logits is None or spec.teacher == "base":
            progress(0.0, "the teacher's logits")
            teacher = base if spec.teacher == "base" else load_checkpoint(lenet_5(), device=bench.device)
            logits = cached_teacher_logits(teacher, data.train, spec.shift, bench.device)
        settings = settings_for(spec, network, seed, data.train)
        pipeline = pipeline or Pipeline(network, settings, bench.device)
        teacher_loss = Teacher(logits, spec.temperature, spec.alpha)
        for stage in pipeline.stages(base.weights, settings, teacher_loss, progress):
            bench.artifact(f"{spec.network} seed {seed} {stage.name}.tinylab", stage.content)
            yield _row(spec, seed, stage, network)


def plan(spec: RecordSpec) -> str:
    """`15 files of 3 seeds; about 11 minutes on 2 CPU cores, …`: an estimate."""
    step_s = STEP_S[spec.network]
    share = spec.widths[0] / HIDDEN[spec.network][0] if spec.widths else 1.0
    steps = STEPS_PER_EPOCH * (spec.shrink_epochs * bool(spec.widths) + spec.epochs * max(share, 0.4)) * STEP_FACTOR
    bases = sum(seed > 0 for seed in spec.seeds) * TRAINING_STEPS[spec.network]
    teachers = TEACHER_S[spec.teacher] * (len(spec.seeds) if spec.teacher == "base" else 1)
    minutes = ((steps * len(spec.seeds) + bases) * step_s + teachers + 3 * COMPILE_S) / 60
    seeds = f"{len(spec.seeds)} seeds" if len(spec.seeds) > 1 else "one seed"
    about = f"{minutes:.1f}" if minutes < 10 else f"{minutes:.0f}"
    files = 5 if spec.widths else 4
    return (
        f"{files * len(spec.seeds)} files of {seeds}; about {about} minutes on 2 CPU cores, a few on a GPU; "
        "set the time limit accordingly"
    )


def settings_for(spec: RecordSpec, network: "Network", seed: int, train: "Split") -> "PipelineSettings":
    """The settings of the pipeline; epochs become whole steps, at least one."""
    from experiments.compression.record.pipeline import PipelineSettings
    from experiments.models.training.settings import Settings

    steps = len(train) // Settings().batch
    return PipelineSettings(
        units={place.name: width for place, width in zip(network.walk(), spec.widths, strict=False)},
        sparsity=spec.sparsity,
        bits=spec.bits,
        bias_bits=spec.bias_bits,
        shrink_steps=max(1, round(spec.shrink_epochs * steps)) if spec.widths else 0,
        steps=max(1, round(spec.epochs * steps)),
        rate=spec.rate,
        shift=spec.shift,
        seed=seed,
    )


def _base_settings(spec: RecordSpec, seed: int) -> Any:
    from dataclasses import replace

    from experiments.models.training.settings import default_settings

    return replace(default_settings(spec.network), seed=seed)


def _row(spec: RecordSpec, seed: int, stage: "StageFile", base: "Network") -> Row:
    """The row of a stage, measured on the model restored from its file."""
    from experiments.models.data.mnist import mnist
    from experiments.models.format.packed import unpack
    from experiments.models.sequential.network import parameter_count
    from experiments.models.techniques.prune_units import layer_widths
    from experiments.models.techniques.prune_weights import count_nonzero

    restored, data = unpack(stage.content), mnist()
    values: dict[str, Any] = {}
    for split, name in ((data.test, "accuracy"), (data.validation, "validation")):
        correct = _correct(restored, split)
        interval = wilson(correct, len(split))
        values |= {f"{name}_lo": interval.lo, f"{name}_hi": interval.hi}
        values["accuracy" if name == "accuracy" else "validation_accuracy"] = correct / len(split)
    return Row(
        {
            "variant": stage.name,
            "network": spec.network,
            "seed": seed,
            "structure": layer_widths(restored.network),
            "parameters": parameter_count(restored.network),
            "nonzero": count_nonzero(restored.float_weights()),
            "size_bytes": len(stage.content),
            "compression": 4 * parameter_count(base) / len(stage.content),
            **values,
        }
    )


def _correct(model: "QuantizedNetwork", split: "Split") -> int:
    """The number of correctly classified images of `split`."""
    from experiments.models.techniques.quantization.numpy_backend import accuracy_numpy

    return round(accuracy_numpy(model, split.images, split.labels) * len(split))
