"""What a network loses when weights or whole units are taken away, and what that buys in bytes and time."""

from collections.abc import Iterator, Mapping
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
from experiments.compression.pruning.reports import DENSE, DETAILS, answer
from experiments.compression.subjects import MATRICES, subject_of, units_of
from experiments.models.data.mnist import mnist
from experiments.models.techniques.prune_weights import parse_n_of_m
from experiments.models.techniques.pruning_methods import PruningConfig

if TYPE_CHECKING:
    from experiments.compression.pruning.programs import Formed
    from experiments.compression.pruning.pruned_models import Base, Pruned

SCOPED = ("magnitude", "random")  # LAMP compares layers by itself
LEVELS = (0.0, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98)  # of one layer alone
LOOKED_AT = 2000  # validation images for one layer alone
PICTURED = 0.9  # the target that is shown as a picture, or the nearest to it
TELL_EVERY = 10  # steps between two reports of progress


Method = Literal["magnitude", "lamp", "random", "l1 units", "l2 units", "taylor units", "random units"]


def _pattern(text: str) -> str:
    parse_n_of_m(text)
    return text


class PruningSpec(MeasuredSpec):
    """A network, and the ways and degrees in which it is pruned and trained on."""

    network: Literal["mlp", "lenet_300_100", "cnn", "lenet_5", "matrix"] = Field(
        "mlp",
        title="Network",
        description="with the checkpoint that the project carries, trained on MNIST; matrix: one untrained layer of "
        "1000 x 500, whose outputs are its units",
    )
    method: list[Method] = Field(
        ["magnitude", "random", "l2 units"],
        max_length=7,
        title="Methods",
        description="single weights by magnitude, by LAMP or at random; whole neurons and channels by the norms of "
        "their weights, by Taylor score or at random",
    )
    patterns: list[Annotated[str, AfterValidator(_pattern)]] = Field(
        [], max_length=4, title="N:M patterns", description="as 2:4: two of every four weights in a row stay"
    )
    sparsity: list[Annotated[float, Field(ge=0, le=0.99)]] = Field(
        [0.5, 0.9, 0.95],
        min_length=1,
        max_length=16,
        title="Sparsities",
        description="share of the weights that is taken away; of neurons and channels: of those in each hidden layer",
    )
    scope: list[Literal["global", "layer"]] = Field(
        ["global"],
        min_length=1,
        max_length=2,
        title="Scopes",
        description="for magnitude and random: the share of all weights together, or of every layer alone",
    )
    schedule: list[Literal["cubic", "one_shot"]] = Field(
        ["cubic"],
        min_length=1,
        max_length=2,
        title="Schedules",
        description="cubic: gradually over the first 60 % of the fine-tuning; one_shot: before it. N:M is one_shot",
    )
    fine_tune_steps: int = Field(
        300, ge=0, le=20_000, title="Fine-tuning steps", description="of 128 images; the dense network gets as many"
    )
    loss: list[Literal["labels", "distilled"]] = Field(
        ["labels"],
        min_length=1,
        max_length=2,
        title="Losses of the fine-tuning",
        description="labels alone, or distilled: the checkpoint's outputs beside them. All is compared with the dense "
        "network that was trained with the first",
    )
    seeds: int = Field(
        3, ge=1, le=10, title="Seeds", description="fine-tunings of each row; each orders and shifts the images anew"
    )
    first_seed: int = Field(
        0, ge=0, le=10_000, title="First seed", description="to see whether a finding holds for seeds that nobody chose"
    )
    batch: int = Field(32, ge=1, le=1024, title="Batch size", description="images of one timed call")
    budget_s: float = Field(
        0.5,
        ge=0.1,
        le=600,
        title="Budget per point [s]",
        description="for the timing of one row; at least 12 blocks are measured in any case",
    )

    @model_validator(mode="after")
    def _units_are_left(self) -> "PruningSpec":
        if "taylor units" in self.method and not self.trains:
            raise ValueError(f"method: taylor units needs a trained network; {self.network} has no labels")
        narrowest = min(units_of(self.network))
        if any(PruningConfig(method).removes_units for method in self.method) and not round(
            narrowest * (1 - max(self.sparsity))
        ):
            raise ValueError(
                f"sparsity: {max(self.sparsity)} leaves no unit of {narrowest} in a layer of {self.network}; give less"
            )
        return self

    @model_validator(mode="after")
    def _something_goes(self) -> "PruningSpec":
        if not any(variant.targets for variant in self.pruned):
            raise ValueError("sparsity: nothing would be pruned; give one above 0 and a method, or an N:M pattern")
        return self

    @property
    def trains(self) -> bool:
        """Whether there is anything to train; a matrix has no images and no labels."""
        return self.network not in MATRICES

    @property
    def steps(self) -> int:
        """Fine-tuning steps of each seed."""
        return self.fine_tune_steps if self.trains else 0

    @property
    def losses(self) -> list[Literal["labels", "distilled"]]:
        """The losses of the fine-tuning; they make no difference where nothing is trained."""
        return list(dict.fromkeys(self.loss))[: None if self.steps else 1]

    @property
    def variants(self) -> "list[Variant]":
        """The dense network, as often as it is trained on otherwise, and all that is pruned."""
        return [self._trained_with(loss, UNPRUNED) for loss in self.losses] + self.pruned

    @property
    def pruned(self) -> "list[Variant]":
        """All that is compared with the dense network; a schedule makes no difference without fine-tuning."""
        schedules = list(dict.fromkeys(self.schedule))[: None if self.steps else 1]
        targets = tuple(sorted({one for one in self.sparsity if one > 0}))
        found = []
        for schedule in schedules:
            for method in dict.fromkeys(self.method):
                scopes = list(dict.fromkeys(self.scope)) if method in SCOPED else [None]
                for scope in scopes:
                    said: list[str] = [method, *([scope] if scope and len(scopes) > 1 else [])]
                    said += [schedule.replace("_", " ")] if len(schedules) > 1 else []
                    found.append(Variant(" ".join(said), PruningConfig(method, scope, schedule), targets))
        for pattern in dict.fromkeys(self.patterns):
            n, m = parse_n_of_m(pattern)
            found.append(Variant(pattern, PruningConfig(pattern, None, "one_shot"), (1 - n / m,)))
        return [self._trained_with(loss, variant) for loss in self.losses for variant in found]

    def _trained_with(self, loss: str, variant: "Variant") -> "Variant":
        """The variant with this loss; in its name where it is not the only or the first one."""
        name = f"{variant.name} {loss}" if loss != self.losses[0] else variant.name
        return variant._replace(name=name, way=replace(variant.way, distilled=loss == "distilled"))


class Variant(NamedTuple):
    """A way of pruning by its name, and the targets that it is tried at."""

    name: str
    way: PruningConfig
    targets: tuple[float, ...]


UNPRUNED = Variant(DENSE, PruningConfig(schedule="one_shot"), (0.0,))


@experiment(
    section="Compression",
    title="Pruning",
    question="How much of a network can be taken away, and does that make it smaller and faster?",
    compares="dense, masked, gathered, N:M, smaller layers, and random as the control",
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
        Column("target", "number", "the share that was to be taken away: of weights, or of units of a hidden layer"),
        Column("batch", "integer", "images of one call"),
        Column("method", "text", "what decides which weights or units go; empty for the dense network"),
        Column("scope", "text", "where the share holds: global or in every layer; empty where there is no choice"),
        Column("schedule", "text", "cubic (gradual) or one_shot; empty for the dense network"),
        Column("loss", "text", "of the fine-tuning: labels alone, or distilled from the checkpoint's outputs as well"),
        Column(
            "form", "text", "dense: zeros are multiplied too; gather: only what is not zero; smaller: units are gone"
        ),
        Column("sparsity", "number", "share of the dense network's weights that is gone or zero, biases not counted"),
        Column("structure", "text", "outputs of the layers that are left"),
        Column("fine_tune_steps", "integer", "training steps since the checkpoint; the dense network has as many"),
        Column("accuracy_before_fine_tune", "number", "pruned at once, on the test set, first seed"),
        *("accuracy", "accuracy_lo", "accuracy_hi"),
        Column("seeds", "integer", "fine-tunings behind the next columns; `accuracy` is the first one's"),
        Column("seed_accuracy", "number", "mean accuracy over the seeds, each as its file restores it"),
        Column("seed_accuracy_lo", "number", "lower end of its 95 % t interval; empty with one seed"),
        Column("seed_accuracy_hi", "number", "upper end"),
        Column("drop", "number", "mean over the seeds of the accuracy of `dense` less this one's, seed by seed"),
        Column("drop_lo", "number", "lower end of its 95 % t interval; empty with one seed"),
        Column("drop_hi", "number", "upper end"),
        *("parameters", "nonzero", "size_bytes", "compression"),
        Column("storage", "text", "the storage that makes the smallest file"),
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
    """Prunes a trained network, trains it on, stores it in one file, restores that and uses it.

    Every row is trained for the same number of steps from the same checkpoint, the dense one too: else what training
    alone brings would pass for what pruning costs. Seeds order and shift the images (and draw what is removed at
    random); they share the checkpoint. Accuracy is that of the restored file on the 10,000 test images in numpy.
    `size_bytes` is the smallest of the storages dense, bitmask, csr (narrow gaps) and entropy-coded. Latency is one
    call of the captured network with its images on the device: with zeros multiplied like any other number (`dense`),
    with indices of what is left (`gather`, linear layers that are at least half empty), or of the smaller network
    (`smaller`). The reference of `max_abs_error` is the masked network in numpy. N:M has no kernels of its own here:
    they would need sparse tensor cores. What sparsity costs depends on how long the network heals: the preset `lenet`
    trains for two passes over the images and takes minutes on one core, `lenet_long` for twenty: half an hour there
    (raise the time limit), minutes on a GPU.
    Not measured: other checkpoints as seeds, the time of training, getting images to the device.
    Source: Han et al. 2015; Zhu & Gupta 2017; Li et al. 2017; Molchanov et al. 2019; Lee et al. 2021 (LAMP).
    """
    from experiments.compression.pruning.programs import Formed, programs_of
    from experiments.compression.pruning.pruned_models import Pruned, prune
    from experiments.compression.pruning.reports import row_values, sensitivity_records

    base, images = _base(spec, bench)
    if base.data:
        bench.progress(0, "one layer at a time")
        chosen = base.data.validation.first(LOOKED_AT)
        bench.detail("sensitivity", sensitivity_records(base.network, base.weights, LEVELS, chosen))
    points = [(variant, target) for variant in spec.variants for target in variant.targets]
    seeds = range(spec.first_seed, spec.first_seed + spec.seeds)
    dense: tuple[Pruned, Formed] | None = None
    for number, (variant, target) in enumerate(points):
        tell = partial(_tell, bench, f"{variant.name}, {target:.0%}", number, len(points))
        tell(0, spec.seeds * spec.steps)
        made = prune(base, variant.way, target, seeds=seeds, steps=spec.steps, on_step=tell)
        _report(bench, base, variant, target, made)
        programs = programs_of(base.network, variant.name, made, bench.device, images)
        dense = dense or (made, programs[DENSE])
        values = {"target": target, **_values(spec, variant), **row_values(base, dense[0], made)}
        yield from _measure(bench, dense[1], programs, values)


def _base(spec: PruningSpec, bench: Bench) -> "tuple[Base, Array]":
    """What is pruned, and the images of one timed call."""
    from experiments.compression.pruning.pruned_models import Base, base_of

    if not spec.trains:
        subject = subject_of(spec.network, spec.batch, 1, train=False, bench=bench)
        return Base(subject.network, subject.weights, bench.device), subject.images[: spec.batch]
    distill = "distilled" in spec.losses and spec.steps > 0
    bench.progress(0, "loading the checkpoint" + (" and asking it for its outputs" if distill else ""))
    base = base_of(spec.network, bench.device, distill=distill)
    return base, mnist().test.images[: spec.batch]


def _tell(bench: Bench, what: str, number: int, count: int, step: int, steps: int) -> None:
    if step % TELL_EVERY == 0:
        bench.progress((number + step / max(1, steps)) / count, f"{what}: step {step} of {steps}")


def _report(bench: Bench, base: "Base", variant: Variant, target: float, made: "Pruned") -> None:
    """The details of one row, and the smallest file of a trained network."""
    from experiments.compression.pruning.reports import details_of, picture_records

    found = details_of(base, made)
    if target == min(variant.targets, key=lambda one: abs(one - PICTURED)):
        found["picture"] = picture_records(base.network, base.weights, made.weights)
    for name, records in found.items():
        which: dict[str, Value] = {"network": base.network.name, "variant": variant.name, "target": target}
        bench.detail(name, [{**which, **record} for record in records])
    if base.data:
        bench.artifact(f"{base.network.name} {variant.name} {target:g}.tinylab", made.file)


def _values(spec: PruningSpec, variant: Variant) -> dict[str, Value]:
    """The columns that say what was asked for."""
    pruned = variant.targets != UNPRUNED.targets
    return {
        "network": spec.network,
        "batch": spec.batch,
        "method": variant.way.method if pruned else None,
        "scope": variant.way.scope,
        "schedule": variant.way.schedule if spec.steps and pruned else None,
        "loss": ("distilled" if variant.way.distilled else "labels") if spec.steps else None,
        "fine_tune_steps": spec.steps,
    }


def _measure(
    bench: Bench, dense: "Formed", programs: "Mapping[str, Formed]", values: Mapping[str, Value]
) -> Iterator[Row]:
    """One row for each program of one way of pruning, timed beside the dense network."""
    from experiments.bench.tinygrad.capture import captured_work

    measured = bench.compare({name: one.program.call for name, one in {DENSE: dense, **programs}.items()}, DENSE)
    point = {name: values[name] for name in ("network", "target")}
    for name, formed in programs.items():
        one = formed.program
        latency_s, work = measured.latency(name).median, captured_work(one.jit)
        own: dict[str, Any] = {
            **values,
            "form": formed.form,
            **work.columns(latency_s),
            **bench.inspect({name: latency_s}, one.function, one.jit, [one.inputs], **point)[name],
            "max_abs_error": one.max_abs_error,
        }
        yield timed_row(measured, name, wrong=one.wrong, **own)
