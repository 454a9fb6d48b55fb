"""Pruning: accuracy, size and latency of a network after weights or whole units are pruned."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

from pydantic import AfterValidator, Field, model_validator

from experiments.bench.arrays import Array
from experiments.bench.columns import COMPILED, TIMED, Column, Value
from experiments.bench.profile import REASON
from experiments.bench.rows import Row
from experiments.bench.session import Bench, timed_row
from experiments.bench.spec import MeasuredSpec, experiment
from experiments.bench.statistics.intervals import mean_interval, wilson
from experiments.compression.original_models import MATRICES, prunable_units
from experiments.compression.pruning.answer import DENSE, answer
from experiments.compression.pruning.details import DETAILS
from experiments.models.sequential.network import parameter_count
from experiments.models.techniques.pruning_spec import PruningConfig, parse_n_of_m

if TYPE_CHECKING:
    from experiments.compression.pruning.programs import PrunedProgram
    from experiments.compression.pruning.pruning_and_fine_tuning import DenseModel, PrunedModel

SCOPED = ("magnitude", "random")  # LAMP compares layers by itself
SENSITIVITY_IMAGES = 2000  # validation images for the sensitivity of single layers
PICTURE_TARGET = 0.9  # the picture shows the target nearest to it
REPORT_EVERY = 10  # steps


Method = Literal["magnitude", "lamp", "random", "l1 units", "l2 units", "taylor units", "random units"]


def _pattern(text: str) -> str:
    parse_n_of_m(text)
    return text


class PruningVariant(NamedTuple):
    """A pruning method by its name, and its targets."""

    name: str
    config: PruningConfig
    targets: tuple[float, ...]


UNPRUNED = PruningVariant(DENSE, PruningConfig(schedule="one_shot"), (0.0,))


class PruningSpec(MeasuredSpec):
    """A network, the methods and targets of pruning, and the fine-tuning."""

    network: Literal["mlp", "lenet_300_100", "cnn", "lenet_5", "matrix"] = Field(
        "mlp",
        title="Network",
        description="bundled checkpoint, trained on MNIST; matrix: one untrained layer of 1000 x 500, whose "
        "units are its outputs",
    )
    method: list[Method] = Field(
        ["magnitude", "random", "l2 units"],
        max_length=7,
        title="Methods",
        description="single weights by magnitude, by LAMP or at random; whole neurons and channels by the norm of "
        "their weights, by Taylor score or at random",
    )
    patterns: list[Annotated[str, AfterValidator(_pattern)]] = Field(
        [], max_length=4, title="N:M patterns", description="2:4 keeps two of every four weights in a row"
    )
    sparsity: list[Annotated[float, Field(ge=0, le=0.99)]] = Field(
        [0.5, 0.9, 0.95],
        min_length=1,
        max_length=16,
        title="Sparsities",
        description="share of the weights that is pruned; of neurons and channels: share of those in each hidden layer",
    )
    scope: list[Literal["global", "layer"]] = Field(
        ["global"],
        min_length=1,
        max_length=2,
        title="Scopes",
        description="magnitude and random only: whether the share holds for all weights together, or for each layer",
    )
    schedule: list[Literal["cubic", "one_shot"]] = Field(
        ["cubic"],
        min_length=1,
        max_length=2,
        title="Schedules",
        description="cubic: gradually over the first 60% of the fine-tuning; one_shot: before it. N:M is one_shot",
    )
    fine_tune_steps: int = Field(
        300,
        ge=0,
        le=20_000,
        title="Fine-tuning steps",
        description="steps of 128 images; the dense network is trained for as many more",
    )
    loss: list[Literal["labels", "distilled"]] = Field(
        ["labels"],
        min_length=1,
        max_length=2,
        title="Loss functions of the fine-tuning",
        description="labels only, or distilled: labels and the checkpoint's outputs. The baseline is the dense network "
        "fine-tuned with the first",
    )
    seeds: int = Field(
        3, ge=1, le=10, title="Seeds", description="fine-tunings of each row, with different order and shifts of images"
    )
    first_seed: int = Field(
        0,
        ge=0,
        le=10_000,
        title="First seed",
        description="first of the random seeds; change it to repeat a finding with other seeds",
    )
    batch: int = Field(32, ge=1, le=1024, title="Batch size", description="images of one timed call")
    budget_s: float = Field(
        0.5,
        ge=0.1,
        le=600,
        title="Budget per grid point [s]",
        description="time for the timing of one row; at least 12 blocks are measured in any case",
    )

    @model_validator(mode="after")
    def _units_are_left(self) -> "PruningSpec":
        if "taylor units" in self.method and not self.trains:
            raise ValueError(f"method: taylor units needs a trained network; {self.network} has no labels")
        narrowest = min(prunable_units(self.network))
        if any(PruningConfig(method).removes_units for method in self.method) and not round(
            narrowest * (1 - max(self.sparsity))
        ):
            raise ValueError(
                f"sparsity: {max(self.sparsity)} leaves no unit of {narrowest} in a layer of {self.network}; give less"
            )
        return self

    @model_validator(mode="after")
    def _something_is_pruned(self) -> "PruningSpec":
        if not any(variant.targets for variant in self.pruned):
            raise ValueError("sparsity: nothing would be pruned; give one above 0 and a method, or an N:M pattern")
        return self

    @property
    def trains(self) -> bool:
        """Whether the network can be fine-tuned; the matrix has no labels."""
        return self.network not in MATRICES

    @property
    def steps(self) -> int:
        """Fine-tuning steps of each seed."""
        return self.fine_tune_steps if self.trains else 0

    @property
    def losses(self) -> list[Literal["labels", "distilled"]]:
        """The losses of the fine-tuning; only the first without fine-tuning."""
        return list(dict.fromkeys(self.loss))[: None if self.steps else 1]

    @property
    def variants(self) -> list[PruningVariant]:
        """The dense network, once per loss of the fine-tuning, then all pruned variants."""
        return [self._trained_with(loss, UNPRUNED) for loss in self.losses] + self.pruned

    @property
    def pruned(self) -> list[PruningVariant]:
        """All variants compared with the dense network; only the first schedule without fine-tuning."""
        schedules = list(dict.fromkeys(self.schedule))[: None if self.steps else 1]
        targets = tuple(sorted({share for share in self.sparsity if share > 0}))
        found = []
        for schedule in schedules:
            for method in dict.fromkeys(self.method):
                scopes = list(dict.fromkeys(self.scope)) if method in SCOPED else [None]
                for scope in scopes:
                    words: list[str] = [method, *([scope] if scope and len(scopes) > 1 else [])]
                    words += [schedule.replace("_", " ")] if len(schedules) > 1 else []
                    found.append(PruningVariant(" ".join(words), PruningConfig(method, scope, schedule), targets))
        for pattern in dict.fromkeys(self.patterns):
            n, m = parse_n_of_m(pattern)
            found.append(PruningVariant(pattern, PruningConfig(pattern, None, "one_shot"), (1 - n / m,)))
        return [self._trained_with(loss, variant) for loss in self.losses for variant in found]

    def _trained_with(self, loss: str, variant: PruningVariant) -> PruningVariant:
        """The variant fine-tuned with this loss; its name contains the loss unless it is the first."""
        name = f"{variant.name} {loss}" if loss != self.losses[0] else variant.name
        return variant._replace(name=name, config=replace(variant.config, distilled=loss == "distilled"))


@experiment(
    section="Compression",
    title="Pruning",
    question="How much of a network can be pruned, and does that make it smaller and faster?",
    compares="dense, masked, gathered, N:M, smaller layers; random pruning for comparison",
    spec=PruningSpec,
    presets={
        "course": PruningSpec(network="matrix", method=["magnitude", "l2 units"], sparsity=[0.5, 0.9], seeds=1),
        "lenet": PruningSpec(
            network="lenet_300_100",
            method=["magnitude", "random"],
            sparsity=[0.5, 0.8, 0.9, 0.95, 0.98, 0.99],
            fine_tune_steps=858,
        ),
        "lenet_long": PruningSpec(
            network="lenet_300_100", method=["magnitude", "random"], sparsity=[0.9, 0.95, 0.98], fine_tune_steps=8580
        ),
        "structured": PruningSpec(
            network="lenet_300_100",
            method=["l1 units", "l2 units", "taylor units", "random units"],
            sparsity=[0.25, 0.5, 0.75, 0.9],
            fine_tune_steps=430,
            batch=1,
            budget_s=2,
        ),
        "schedules": PruningSpec(
            method=["magnitude"], scope=["global", "layer"], schedule=["cubic", "one_shot"], sparsity=[0.8, 0.9, 0.95]
        ),
        "distilled": PruningSpec(method=["magnitude", "l2 units"], loss=["labels", "distilled"], sparsity=[0.9]),
        "quick": PruningSpec(
            method=["magnitude", "l2 units"], sparsity=[0.9], fine_tune_steps=40, seeds=2, batch=1, budget_s=0.2
        ),
    },
    columns=[
        Column("network", "text", "the network"),
        Column("target", "number", "the share to prune: of weights, or of the units of a hidden layer"),
        Column("batch", "integer", "images of one call"),
        Column("method", "text", "how weights or units are chosen; empty for the dense network"),
        Column("scope", "text", "whether the share holds globally or per layer; empty where the method has no choice"),
        Column("schedule", "text", "cubic (gradual) or one_shot; empty for the dense network"),
        Column(
            "loss", "text", "loss of the fine-tuning: labels only, or distilled from the checkpoint's outputs as well"
        ),
        Column("form", "text", "dense: zeros are multiplied too; gather: nonzero weights only; smaller: units removed"),
        Column("sparsity", "number", "share of the dense network's weights that is removed or zero, without biases"),
        Column("structure", "text", "outputs of each layer"),
        Column("fine_tune_steps", "integer", "training steps after the checkpoint; as many for the dense network"),
        Column(
            "accuracy_before_fine_tune",
            "number",
            "top-1 accuracy on the test set after pruning in one shot, first seed",
        ),
        *("accuracy", "accuracy_lo", "accuracy_hi"),
        Column("seeds", "integer", "fine-tunings averaged in the next columns; `accuracy` is that of the first"),
        Column("seed_accuracy", "number", "mean accuracy of the restored files over the seeds"),
        Column("seed_accuracy_lo", "number", "lower end of the 95% t interval of seed_accuracy; empty with one seed"),
        Column("seed_accuracy_hi", "number", "upper end of the 95% t interval of seed_accuracy"),
        Column("drop", "number", "accuracy lost against `dense`: mean of the paired differences over the seeds"),
        Column("drop_lo", "number", "lower end of the 95% t interval of drop; empty with one seed"),
        Column("drop_hi", "number", "upper end of the 95% t interval of drop"),
        *("parameters", "nonzero", "size_bytes", "compression"),
        Column("storage", "text", "storage format of the smallest file"),
        *TIMED,
        *COMPILED,
        *REASON,
        "max_abs_error",
    ],
    grid=("network", "target"),
    summary=(
        *("target", "variant", "sparsity", "seed_accuracy", "drop", "size_bytes", "compression", "structure"),
        *("latency_ms", "speedup", "verdict"),
    ),
    details=DETAILS,
    inspects=True,
    answer=answer,
)
def pruning(spec: PruningSpec, bench: Bench) -> Iterator[Row]:
    """Prunes a trained network while fine-tuning it, stores it in one file, restores that and measures it.

    Every row is fine-tuned for the same number of steps from the same checkpoint, the dense one too: otherwise the
    gain of more training would count for pruning. Seeds set the order and shifts of the images (and what is pruned at
    random); they share the checkpoint. Accuracy is that of the restored file on the 10,000 test images in numpy.
    `size_bytes` is the smallest of the storages dense, bitmask, csr (narrow gaps) and entropy-coded. Latency is one
    call of the captured network with its images on the device: with zeros multiplied like any other number (`dense`),
    with indices of the nonzero weights (`gather`, linear layers that are at least half empty), or of the smaller
    network (`smaller`). The reference of `max_abs_error` is the masked network in numpy. N:M has no kernels here: they
    would need sparse tensor cores. The loss depends on the length of the fine-tuning: the preset `lenet` takes two
    epochs and minutes on one core, `lenet_long` twenty epochs and half an hour there (raise the time limit), minutes
    on a GPU.
    Not measured: other checkpoints as seeds, training time, copying images to the device.
    Source: Han et al. 2015; Zhu & Gupta 2017; Li et al. 2017; Molchanov et al. 2019; Lee et al. 2021 (LAMP).
    """
    from experiments.compression.pruning.detail_records import sensitivity_records
    from experiments.compression.pruning.programs import programs_of
    from experiments.compression.pruning.pruning_and_fine_tuning import prune_and_fine_tune

    dense, images = _dense_model(spec, bench)
    if dense.data:
        bench.progress(0, "one layer at a time")
        validation = dense.data.validation.first(SENSITIVITY_IMAGES)
        bench.detail("sensitivity", sensitivity_records(dense.network, dense.weights, validation))
    points = [(variant, target) for variant in spec.variants for target in variant.targets]
    seeds = range(spec.first_seed, spec.first_seed + spec.seeds)
    baseline: tuple[PrunedModel, PrunedProgram] | None = None
    for number, (variant, target) in enumerate(points):
        report = partial(_report_step, bench, f"{variant.name}, {target:.0%}", number, len(points))
        report(0, spec.seeds * spec.steps)
        pruned = prune_and_fine_tune(dense, variant.config, target, seeds=seeds, steps=spec.steps, on_step=report)
        _report_details(bench, dense, variant, target, pruned)
        programs = programs_of(dense.network, variant.name, pruned, bench.device, images)
        baseline = baseline or (pruned, programs[DENSE])
        values = {**_spec_columns(spec, variant, target), **_model_columns(dense, baseline[0], pruned)}
        yield from _measure(bench, baseline[1], programs, values)


def _dense_model(spec: PruningSpec, bench: Bench) -> "tuple[DenseModel, Array]":
    """The model to prune, and the images of one timed call."""
    from experiments.compression.original_models import original_model
    from experiments.compression.pruning.pruning_and_fine_tuning import DenseModel, dense_model
    from experiments.models.data.mnist import mnist

    if not spec.trains:
        original = original_model(spec.network, spec.batch, 1, train=False, bench=bench)
        return DenseModel(original.network, original.weights, bench.device), original.images[: spec.batch]
    distill = "distilled" in spec.losses and spec.steps > 0
    bench.progress(0, "loading the checkpoint" + (" and computing its logits" if distill else ""))
    return dense_model(spec.network, bench.device, distill=distill), mnist().test.images[: spec.batch]


def _report_step(bench: Bench, name: str, number: int, count: int, step: int, steps: int) -> None:
    if step % REPORT_EVERY == 0:
        bench.progress((number + step / max(1, steps)) / count, f"{name}: step {step} of {steps}")


def _report_details(
    bench: Bench, dense: "DenseModel", variant: PruningVariant, target: float, pruned: "PrunedModel"
) -> None:
    """The details of one row, and the smallest file of a trained network."""
    from experiments.compression.pruning.detail_records import details_of, picture_records

    details = details_of(dense, pruned)
    if target == min(variant.targets, key=lambda one: abs(one - PICTURE_TARGET)):
        details["picture"] = picture_records(dense.network, dense.weights, pruned.weights)
    point: dict[str, Value] = {"network": dense.network.name, "variant": variant.name, "target": target}
    for name, records in details.items():
        bench.detail(name, [{**point, **record} for record in records])
    if dense.data:
        bench.artifact(f"{dense.network.name} {variant.name} {target:g}.tinylab", pruned.file)


def _spec_columns(spec: PruningSpec, variant: PruningVariant, target: float) -> dict[str, Value]:
    """The columns that state the method and the fine-tuning."""
    pruned = variant.targets != UNPRUNED.targets
    return {
        "target": target,
        "network": spec.network,
        "batch": spec.batch,
        "method": variant.config.method if pruned else None,
        "scope": variant.config.scope,
        "schedule": variant.config.schedule if spec.steps and pruned else None,
        "loss": ("distilled" if variant.config.distilled else "labels") if spec.steps else None,
        "fine_tune_steps": spec.steps,
    }


def _model_columns(dense: "DenseModel", baseline: "PrunedModel", pruned: "PrunedModel") -> dict[str, Value]:
    """The columns on size and accuracy; `baseline` is the fine-tuned dense network.

    `accuracy` is that of the first seed with its Wilson interval; `seed_accuracy` and `drop` (paired with the
    baseline seed by seed) are means over the seeds with t intervals.
    """
    from experiments.models.techniques.prune_units import layer_widths
    from experiments.models.techniques.prune_weights import count_nonzero, total_sparsity

    values: dict[str, Value] = {
        "sparsity": total_sparsity(dense.network, pruned.weights),
        "structure": layer_widths(pruned.model.network),
        "parameters": parameter_count(pruned.model.network),
        "nonzero": count_nonzero(pruned.model.float_weights()),
        "size_bytes": len(pruned.file),
        "compression": 4 * parameter_count(dense.network) / len(pruned.file),
        "storage": next(name for name, file in pruned.files.items() if file == pruned.file),
    }
    if not dense.data:
        return values
    first = wilson(round(pruned.accuracies[0] * len(dense.data.test)), len(dense.data.test))
    values |= {"accuracy": first.median, "accuracy_lo": first.lo, "accuracy_hi": first.hi}
    values |= {"accuracy_before_fine_tune": pruned.before[0], "seeds": len(pruned.accuracies)}
    drops = [before - after for before, after in zip(baseline.accuracies, pruned.accuracies, strict=True)]
    return values | _over_seeds("seed_accuracy", pruned.accuracies) | _over_seeds("drop", drops)


def _over_seeds(name: str, values: Sequence[float]) -> dict[str, Value]:
    """The mean, with its t interval for more than one seed."""
    if len(values) < 2:
        return {name: values[0]}
    mean = mean_interval(values)
    return {name: mean.median, f"{name}_lo": mean.lo, f"{name}_hi": mean.hi}


def _measure(
    bench: Bench, baseline: "PrunedProgram", programs: "Mapping[str, PrunedProgram]", values: Mapping[str, Value]
) -> Iterator[Row]:
    """One row for each program of a pruned model, timed side by side with the dense network."""
    from experiments.bench.tinygrad.capture import captured_work

    measured = bench.compare({name: one.program.call for name, one in {DENSE: baseline, **programs}.items()}, DENSE)
    point = {name: values[name] for name in ("network", "target")}
    for name, pruned in programs.items():
        program = pruned.program
        latency_s, work = measured.latency(name).median, captured_work(program.jit)
        columns: dict[str, Any] = {
            **values,
            "form": pruned.form,
            **work.columns(latency_s),
            **bench.inspect({name: latency_s}, program.function, program.jit, [program.inputs], **point)[name],
            "max_abs_error": program.max_abs_error,
        }
        yield timed_row(measured, name, wrong=program.wrong, **columns)
