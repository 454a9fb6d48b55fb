"""What a network loses when weights or whole units are taken away, and what that buys in bytes and time."""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

from pydantic import AfterValidator, Field, model_validator

from experiments.bench.answers import says
from experiments.bench.columns import COMPILED, TIMED, Column, Value
from experiments.bench.inspection import REASON
from experiments.bench.session import Bench, rates, timed_row
from experiments.bench.spec import MeasuredSpec, Row, experiment
from experiments.models.datasets import Array, mnist
from experiments.models.plans import Way
from experiments.models.pruning import n_and_m
from experiments.models.subjects import MATRICES, subject_of, units_of

if TYPE_CHECKING:
    import pandas as pd

    from experiments.models.pruned import Base, Pruned
    from experiments.models.pruned_programs import Formed

DENSE = "dense"
SCOPED = ("magnitude", "random")  # LAMP compares layers by itself
KEPT = 0.002  # accuracy that may be lost and still be called kept
LEVELS = (0.0, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98)  # of one layer alone
LOOKED_AT = 2000  # validation images for one layer alone
PICTURED = 0.9  # the target that is shown as a picture, or the nearest to it
TELL_EVERY = 10  # steps between two reports of progress


Method = Literal["magnitude", "lamp", "random", "l1 units", "l2 units", "taylor units", "random units"]


def _pattern(text: str) -> str:
    n_and_m(text)
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
    distil: bool = Field(
        False,
        title="Distil",
        description="fine-tuning learns from the dense network's outputs beside the labels, also that of the dense",
    )
    seeds: int = Field(
        3, ge=1, le=10, title="Seeds", description="fine-tunings of each row; each orders and shifts the images anew"
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
        if any(Way(method).smaller for method in self.method) and not round(narrowest * (1 - max(self.sparsity))):
            raise ValueError(
                f"sparsity: {max(self.sparsity)} leaves no unit of {narrowest} in a layer of {self.network}; give less"
            )
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
    def variants(self) -> "list[Variant]":
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
                    found.append(Variant(" ".join(said), Way(method, scope, schedule), targets))
        for pattern in dict.fromkeys(self.patterns):
            n, m = n_and_m(pattern)
            found.append(Variant(pattern, Way(pattern, None, "one_shot"), (1 - n / m,)))
        return found


class Variant(NamedTuple):
    """A way of pruning by its name, and the targets that it is tried at."""

    name: str
    way: Way
    targets: tuple[float, ...]


UNPRUNED = Variant(DENSE, Way(schedule="one_shot"), (0.0,))
WHICH = (
    Column("network", "text", "the network"),
    Column("variant", "text", "the way of pruning"),
    Column("target", "number", "the share that was to be taken away"),
)
LAYER = Column("layer", "text", "name of the layer")


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
            sparsity=[0.8, 0.9, 0.95, 0.98],
            fine_tune_steps=8580,
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
        "quick": PruningSpec(
            method=["magnitude", "l2 units"], sparsity=[0.9], fine_tune_steps=40, seeds=2, batch=1, budget_s=0.2
        ),
    },
    columns=[
        Column("network", "text", "the network"),
        Column("target", "number", "the share that was to be taken away: of weights, or of units of a hidden layer"),
        Column("batch", "integer", "images of one call"),
        Column("method", "text", "what decides which weights or units go; the dense network loses none"),
        Column("scope", "text", "where the share holds: global or in every layer; empty where there is no choice"),
        Column("schedule", "text", "cubic (gradual) or one_shot; empty for the dense network"),
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
        Column("drop", "number", "mean over the seeds of the dense network's accuracy less this one's"),
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
    details={
        "seeds": [
            *WHICH,
            Column("seed", "integer", "of the fine-tuning"),
            Column("accuracy", "number", "on the test set, of the restored file"),
            Column("accuracy_before_fine_tune", "number", "on the test set, pruned at once"),
        ],
        "layers": [
            *(*WHICH, LAYER),
            Column("weights", "integer", "of the layer"),
            Column("nonzero", "integer", "of these not zero"),
            Column("sparsity", "number", "share of zeros"),
            Column("units", "integer", "outputs with any weight that is not zero"),
        ],
        "sensitivity": [
            LAYER,
            Column("sparsity", "number", "of this layer alone, by magnitude, without fine-tuning"),
            Column("accuracy", "number", "on 2,000 validation images"),
            Column("accuracy_lo", "number", "lower end of its 95 % Wilson interval"),
            Column("accuracy_hi", "number", "upper end"),
        ],
        "storage": [
            *WHICH,
            Column("storage", "text", "how the file holds weights and biases"),
            Column("size_bytes", "integer", "bytes of the file"),
        ],
        "fine_tuning": [
            *WHICH,
            Column("step", "integer", "of the fine-tuning"),
            Column("sparsity", "number", "share of zeros at this step"),
            Column("validation_accuracy", "number", "on the 5,000 validation images, first seed"),
        ],
        "picture": [
            *WHICH,
            Column("tile", "integer", "filter or neuron of the first layer"),
            Column("row", "integer", "of the tile"),
            Column("column", "integer", "of the tile"),
            Column("before", "number", "weight in the checkpoint"),
            Column("after", "number", "weight in the pruned network"),
        ],
    },
    inspects=True,
    answer=lambda frame: answer(frame),
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
    they would need sparse tensor cores.
    Not measured: other checkpoints as seeds, the time of training, getting images to the device.
    Source: Han et al. 2015; Zhu & Gupta 2017; Li et al. 2017; Molchanov et al. 2019; Lee et al. 2021 (LAMP).
    """
    from experiments.models.pruned import Pruned, prune
    from experiments.models.pruned_programs import Formed, programs_of
    from experiments.models.pruning_reports import row_values, sensitivity_records

    base, images = _base(spec, bench)
    if base.data:
        bench.progress(0, "one layer at a time")
        chosen = base.data.validation.first(LOOKED_AT)
        bench.detail("sensitivity", sensitivity_records(base.network, base.weights, LEVELS, chosen))
    points = [(one, target) for one in [UNPRUNED, *spec.variants] for target in one.targets]
    dense: tuple[Pruned, Formed] | None = None
    for number, (variant, target) in enumerate(points):
        tell = partial(_tell, bench, f"{variant.name}, {target:.0%}", number, len(points))
        tell(0, spec.seeds * spec.steps)
        made = prune(base, variant.way, target, seeds=spec.seeds, steps=spec.steps, on_step=tell)
        _report(bench, base, variant, target, made)
        programs = programs_of(base.network, variant.name, made, bench.device, images)
        dense = dense or (made, programs[DENSE])
        values = {"target": target, **_values(spec, variant), **row_values(base, dense[0], made)}
        yield from _measure(bench, dense[1], programs, values)


def _base(spec: PruningSpec, bench: Bench) -> "tuple[Base, Array]":
    """What is pruned, and the images of one timed call."""
    from experiments.models.pruned import Base, base_of

    if not spec.trains:
        subject = subject_of(spec.network, spec.batch, 1, train=False, bench=bench)
        return Base(subject.network, subject.weights, bench.device), subject.images[: spec.batch]
    bench.progress(0, "loading the checkpoint" + (" and asking it for its outputs" if spec.distil else ""))
    base = base_of(spec.network, bench.device, distil=spec.distil and spec.steps > 0)
    return base, mnist().test.images[: spec.batch]


def _tell(bench: Bench, what: str, number: int, count: int, step: int, steps: int) -> None:
    if step % TELL_EVERY == 0:
        bench.progress((number + step / max(1, steps)) / count, f"{what}: step {step} of {steps}")


def _report(bench: Bench, base: "Base", variant: Variant, target: float, made: "Pruned") -> None:
    """The details of one row, and the smallest file of a trained network."""
    from experiments.models.pruning_reports import details_of, picture_records

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
    return {
        "network": spec.network,
        "batch": spec.batch,
        "method": variant.way.method,
        "scope": variant.way.scope,
        "schedule": variant.way.schedule if spec.steps and variant != UNPRUNED else None,
        "fine_tune_steps": spec.steps,
    }


def _measure(
    bench: Bench, dense: "Formed", programs: "Mapping[str, Formed]", values: Mapping[str, Value]
) -> Iterator[Row]:
    """One row for each program of one way of pruning, timed beside the dense network."""
    from experiments.bench.kernels import captured_work

    measured = bench.compare({name: one.program.call for name, one in {DENSE: dense, **programs}.items()}, DENSE)
    point = {name: values[name] for name in ("network", "target")}
    for name, formed in programs.items():
        one = formed.program
        latency_s, work = measured.latency(name).median, captured_work(one.jit)
        own: dict[str, Any] = {
            **values,
            "form": formed.form,
            "kernels": work.kernels,
            "ops": work.ops,
            "bytes": work.bytes,
            **rates(work.ops, work.bytes, latency_s),
            **bench.inspect({name: latency_s}, one.function, one.jit, [one.inputs], **point)[name],
            "max_abs_error": one.max_abs_error,
        }
        yield timed_row(measured, name, wrong=one.wrong, **own)


def answer(frame: "pd.DataFrame") -> str:
    """How far single weights can go with the accuracy kept, what that saves, and what the forms of a program buy."""
    base, rows = frame[frame["variant"] == DENSE], frame[frame["speedup"].notna()]
    if base.empty or rows.empty:
        return ""
    tested, whole = base["seed_accuracy"].notna().all(), base.iloc[0]
    kept = rows[rows["drop"] <= KEPT] if tested else rows
    parts = []
    weights = kept[kept["form"] == "dense"]
    if len(weights):
        best = weights.sort_values(["sparsity", "drop"], ascending=[True, False]).iloc[-1]
        held = f" within {KEPT:.1%} of its accuracy ({_accuracy(best)}; dense {_accuracy(whole)})" if tested else ""
        parts.append(
            f"loses {best['sparsity']:.0%} of its weights by {best['variant']}{held}: {best['size_bytes']:,} bytes, "
            f"{best['compression']:.3g}x smaller; multiplying the zeros too {says(best, 'a call')}"
        )
    elif tested:
        parts.append(f"keeps its accuracy within {KEPT:.1%} at no sparsity that was tried (dense {_accuracy(whole)})")
    for form, words in (("gather", "fetching only the weights that are left"), ("smaller", "whole units gone")):
        found = kept[kept["form"] == form]
        found = found if len(found) else rows[rows["form"] == form].nsmallest(1, "drop")
        if len(found):
            one = found.nlargest(1, "speedup").iloc[0]
            held = f" at {_accuracy(one)}" if tested else ""
            parts.append(f"{words} ({one['variant']}, {one['target']:.0%}{held}) {says(one, 'it')}")
    return f"On {whole['device']} {whole['network']} {'; '.join(parts)} (batch {whole['batch']})."


def _accuracy(row: "pd.Series[Any]") -> str:
    """`98.40% +- 0.10` over the seeds; without an interval where there is one seed."""
    interval = "" if row["seeds"] < 2 else f" ± {(row['seed_accuracy_hi'] - row['seed_accuracy_lo']) / 2 * 100:.2f}"
    return f"{row['seed_accuracy']:.2%}{interval}"
