"""How small a network can become without losing accuracy, when every technique is used at once."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, model_validator

from experiments.bench.columns import Column
from experiments.bench.rows import Row
from experiments.bench.session import Bench
from experiments.bench.spec import Spec, experiment
from experiments.bench.statistics.intervals import wilson
from experiments.models.training.cost import COMPILE_S, STEP_S, TRAINING_STEPS

if TYPE_CHECKING:
    import pandas as pd

    from experiments.compression.record.chain import Chain, Stage
    from experiments.models.data.mnist import Split
    from experiments.models.sequential.network import Network
    from experiments.models.techniques.quantization.post_training import QuantizedNetwork

Width = Annotated[int, Field(ge=1, le=500)]
HIDDEN = {"mlp": (128,), "lenet_300_100": (300, 100), "lenet_5": (20, 50, 500)}
LAST = "file"
STEPS_OF_EPOCH = 430
TEACHER_S = {"lenet_5": 150.0, "base": 20.0}  # to ask a teacher for all shifts of all training images, 2 CPU cores
LEARNING_FROM = 1.3  # a step that learns from a teacher under masks and codebooks, in plain steps


class RecordSpec(Spec):
    """A network, and how hard each technique is pulled."""

    network: Literal["mlp", "lenet_300_100", "lenet_5"] = Field(
        "lenet_300_100", title="Network", description="trained on MNIST for each seed; seed 0 is carried by the project"
    )
    widths: list[Width] = Field(
        [],
        max_length=3,
        title="Units kept",
        description="in each hidden layer, the others are removed first, by L2 norm; empty: all stay",
    )
    shrink_epochs: float = Field(10, ge=0.01, le=100, title="Epochs after that", description="before pruning begins")
    sparsity: float = Field(
        0.95, ge=0, le=0.999, title="Sparsity", description="share of the remaining weights that gradual LAMP prunes"
    )
    bits: int = Field(3, ge=1, le=6, title="Codebook bits", description="of a weight that is not 0, per layer")
    bias_bits: int = Field(4, ge=1, le=6, title="Bias bits", description="of a bias, in a codebook of its own")
    epochs: float = Field(
        40,
        ge=0.01,
        le=400,
        title="Epochs",
        description="60 % pruning, 15 % training on, 25 % with codebooks",
    )
    rate: float = Field(4e-3, ge=1e-5, le=0.1, title="Learning rate", description="of Adam at their start; falls to 0")
    teacher: Literal["lenet_5", "base"] = Field(
        "lenet_5", title="Teacher", description="whose logits are learned from: the carried LeNet-5, or the base itself"
    )
    temperature: float = Field(3, ge=0.5, le=20, title="Temperature", description="of the teacher's probabilities")
    alpha: float = Field(0.7, ge=0, le=1, title="Teacher's share", description="of the loss; 0: labels alone")
    shift: int = Field(1, ge=0, le=2, title="Shift [pixels]", description="by up to which training images are moved")
    seeds: list[Annotated[int, Field(ge=0, le=10**6)]] = Field(
        [0], min_length=1, max_length=10, title="Seeds", description="of training; three make a median"
    )

    @model_validator(mode="after")
    def _widths_fit(self) -> "RecordSpec":
        most = HIDDEN[self.network]
        if self.widths and (
            len(self.widths) != len(most) or any(a > b for a, b in zip(self.widths, most, strict=True))
        ):
            raise ValueError(
                f"widths: {self.text('widths')} is not allowed; {self.network} has {len(most)} hidden layers of "
                f"{', '.join(map(str, most))} units; give as many widths, none larger, or nothing"
            )
        return self


@experiment(
    section="Compression",
    title="Record: how small",
    question="How few bytes can hold a network that still reads digits as well?",
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
        Column("seed", "integer", "of its training"),
        Column("structure", "text", "outputs of every layer"),
        *("parameters", "nonzero", "size_bytes", "compression"),
        *("accuracy", "accuracy_lo", "accuracy_hi"),
        Column("validation_accuracy", "number", "top-1 accuracy on the validation images, on which all is chosen"),
        Column("validation_lo", "number", "lower end of its 95 % Wilson interval"),
        Column("validation_hi", "number", "upper end of its 95 % Wilson interval"),
    ],
    grid=("network", "seed"),
    summary=("variant", "seed", "structure", "nonzero", "size_bytes", "compression", "validation_accuracy", "accuracy"),
    plan=lambda spec: plan(spec),
    answer=lambda frame: answer(frame),
)
def record(spec: RecordSpec, bench: Bench) -> Iterator[Row]:
    """Takes a trained network through every technique to one file, and measures what each stage left.

    Stages: `base`, trained in float32; `shrunk`, units removed and trained on; `pruned`, most weights 0, by gradual
    LAMP pruning, in the middle of the training; `codebook`, at its end, every layer's values drawn into a few
    numbers; `file`, units without use removed, float16 numbers. All training after the base learns from a teacher's
    logits too. Every row is measured on the model that was read back from the stage's file, whose size counts
    everything: positions, symbols, codebooks, biases, names, checksum. `compression` is against the base's float32
    numbers. The code of the decoder is not counted. `accuracy` is that of the test images, which nothing is chosen on.
    Not measured: time; the positions of single weights give no speed.
    Source: Han et al. 2016 (Deep Compression), Lee et al. 2021 (LAMP), Hinton et al. 2015 (distillation).
    """
    from experiments.compression.record.chain import Maker
    from experiments.models.data.mnist import mnist
    from experiments.models.sequential.network import NETWORKS, lenet_5
    from experiments.models.techniques.teacher_logits import cached_teacher_logits
    from experiments.models.training.checkpoints import load_checkpoint
    from experiments.models.training.feeding import Teacher

    network, data = NETWORKS[spec.network](), mnist()
    maker, table = None, None
    for turn, seed in enumerate(spec.seeds):

        def progress(done: float, message: str, *_: Any, turn: int = turn, seed: int = seed) -> None:
            bench.progress((turn + done) / len(spec.seeds), f"seed {seed}: {message}")

        progress(0.0, "the base")
        base = load_checkpoint(
            network, _base_settings(spec, seed), device=bench.device, progress=lambda _, *what: progress(0, *what)
        )
        if table is None or spec.teacher == "base":
            progress(0.0, "the teacher's logits")
            teacher = base if spec.teacher == "base" else load_checkpoint(lenet_5(), device=bench.device)
            table = cached_teacher_logits(teacher, data.train, spec.shift, bench.device)
        chain = chain_of(spec, network, seed, data.train)
        maker = maker or Maker(network, chain, bench.device)
        for stage in maker.stages(base.weights, chain, Teacher(table, spec.temperature, spec.alpha), progress):
            bench.artifact(f"{spec.network} seed {seed} {stage.name}.tinylab", stage.content)
            yield _row(spec, seed, stage, network)


def plan(spec: RecordSpec) -> str:
    """`15 files of 3 seeds; about 11 minutes on 2 CPU cores, …`: an estimate."""
    step = STEP_S[spec.network]
    share = spec.widths[0] / HIDDEN[spec.network][0] if spec.widths else 1.0
    chain = STEPS_OF_EPOCH * (spec.shrink_epochs * bool(spec.widths) + spec.epochs * max(share, 0.4)) * LEARNING_FROM
    bases = sum(seed > 0 for seed in spec.seeds) * TRAINING_STEPS[spec.network]
    teachers = TEACHER_S[spec.teacher] * (len(spec.seeds) if spec.teacher == "base" else 1)
    minutes = ((chain * len(spec.seeds) + bases) * step + teachers + 3 * COMPILE_S) / 60
    seeds = f"{len(spec.seeds)} seeds" if len(spec.seeds) > 1 else "one seed"
    about = f"{minutes:.1f}" if minutes < 10 else f"{minutes:.0f}"
    files = 5 if spec.widths else 4
    return (
        f"{files * len(spec.seeds)} files of {seeds}; about {about} minutes on 2 CPU cores, few on a GPU; "
        "the time limit has to be longer"
    )


def chain_of(spec: RecordSpec, network: "Network", seed: int, train: "Split") -> "Chain":
    """The chain that a spec asks for; epochs become whole steps, one at least."""
    from experiments.compression.record.chain import Chain
    from experiments.models.training.settings import Settings

    steps = len(train) // Settings().batch
    return Chain(
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


def _row(spec: RecordSpec, seed: int, stage: "Stage", base: "Network") -> Row:
    """A stage as its file restores it."""
    from experiments.models.data.mnist import mnist
    from experiments.models.format.packed import unpack
    from experiments.models.sequential.network import parameter_count
    from experiments.models.techniques.prune_units import layer_widths
    from experiments.models.techniques.prune_weights import count_nonzero

    restored, data = unpack(stage.content), mnist()
    values: dict[str, Any] = {}
    for split, what in ((data.test, "accuracy"), (data.validation, "validation")):
        right = _right(restored, split)
        interval = wilson(right, len(split))
        values |= {f"{what}_lo": interval.lo, f"{what}_hi": interval.hi}
        values["accuracy" if what == "accuracy" else "validation_accuracy"] = right / len(split)
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


def _right(model: "QuantizedNetwork", split: "Split") -> int:
    """How many images of `split` are classified rightly."""
    from experiments.models.techniques.quantization.numpy_backend import accuracy_numpy

    return round(accuracy_numpy(model, split.images, split.labels) * len(split))


def answer(frame: "pd.DataFrame") -> str:
    """The median file of the seeds with its errors, beside the base."""
    files, base = frame[frame["variant"] == LAST], frame[frame["variant"] == "base"]
    if files.empty or base.empty:
        return ""
    seeds = f"median of {len(files)} seeds" if len(files) > 1 else "one seed"
    size, times = files["size_bytes"].median(), files["compression"].median()
    tested, chosen = (1 - files[name].median() for name in ("accuracy", "validation_accuracy"))
    return (
        f"A file of {size:,.0f} bytes holds {files['network'].iloc[0]} ({seeds}), {times:.3g}x smaller than its "
        f"float32 numbers, with an error of {tested:.2%} on the test and {chosen:.2%} on the validation images; "
        f"before, the errors were {1 - base['accuracy'].median():.2%} and "
        f"{1 - base['validation_accuracy'].median():.2%}."
    )
