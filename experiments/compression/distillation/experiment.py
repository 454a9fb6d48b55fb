"""What a small network gains from a large one's soft answers, over the same small network trained alone."""

import itertools
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import AfterValidator, Field

from experiments.bench.answers import describe_speedup
from experiments.bench.columns import COMPILED, TIMED, Column, Value
from experiments.bench.profile import REASON
from experiments.bench.rows import Row
from experiments.bench.session import Bench, timed_row
from experiments.bench.spec import MeasuredSpec, Need, experiment
from experiments.bench.statistics.intervals import Interval, mean_interval, wilson
from experiments.compression.distillation.reports import DETAILS, SHOWN_DIGITS
from experiments.compression.distillation.students import ALONE, TRAIN_IMAGES, Treatment, images_of, network_called
from experiments.models.sequential.network import parameter_count

if TYPE_CHECKING:
    import pandas as pd

    from experiments.compression.distillation.students import Taught
    from experiments.compression.distillation.study import Study
    from experiments.models.compiled import DeployedNetwork
    from experiments.models.sequential.network import Network, Weights

TEACHER, STUDENT = "teacher", "student alone"
PLAIN = "without T²"
TRAINING_COPIES = 5 * 4  # bytes of one parameter: weight, gradient, two moments, mask


def _network(text: str) -> str:
    """Refuses what `network_called` refuses, and keeps the text as it was given."""
    network_called(text)
    return text


def _fraction(value: float) -> float:
    """Refuses a fraction that does not fill one batch."""
    images_of(value)
    return value


NetworkName = Annotated[str, AfterValidator(_network)]


class DistillationSpec(MeasuredSpec):
    """A teacher, a student, and how the one learns from the other."""

    teacher: NetworkName = Field(
        "784-512-256-10",
        title="Teacher",
        description="a network by name or by its hidden widths, 512-256; trained once with all clean labels, then kept",
    )
    student: NetworkName = Field(
        "784-128-10", title="Student", description="likewise; trained anew for each seed, alone and taught"
    )
    temperature: list[Annotated[float, Field(ge=0.1, le=100)]] = Field(
        [3.0],
        min_length=1,
        max_length=8,
        title="Temperatures",
        description="T: both networks' logits are divided by it; the higher, the more the small probabilities count",
    )
    alpha: list[Annotated[float, Field(ge=0.01, le=1)]] = Field(
        [0.7],
        min_length=1,
        max_length=8,
        title="Alphas",
        description="weight of the teacher in the loss; 1 uses no label; 0 is the student alone, always measured along",
    )
    form: list[Literal["squared", "unsquared"]] = Field(
        ["squared", "unsquared"],
        min_length=1,
        max_length=2,
        title="Forms of the loss",
        description="squared: alpha T² KL + (1 - alpha) cross-entropy; unsquared: without T², which the course "
        "forgets, so that the teacher's part fades as T grows",
    )
    data_fraction: Annotated[float, AfterValidator(_fraction)] = Field(
        1.0,
        ge=0.001,
        le=1,
        title="Data fraction",
        description=f"of the {TRAIN_IMAGES:,} training images, for the students",
    )
    label_noise: float = Field(
        0.0, ge=0, le=0.9, title="Label noise", description="share of the students' labels that are wrong, at random"
    )
    shift: int = Field(
        1,
        ge=0,
        le=2,
        title="Shift [pixels]",
        description="every image is moved by up to so many, anew each time it is seen",
    )
    seeds: int = Field(
        3, ge=3, le=20, title="Seeds", description="students of each kind; start, images, wrong labels and order differ"
    )
    first_seed: int = Field(
        0, ge=0, le=10_000, title="First seed", description="to see whether a finding holds for seeds that nobody chose"
    )
    steps: int = Field(
        1300,
        ge=10,
        le=20_000,
        title="Steps",
        description="of 128 images for every student, in whole passes; a taught one may need more to catch up",
    )
    batch: int = Field(32, ge=1, le=1024, title="Batch size", description="images of one timed call")

    @property
    def treatments(self) -> dict[str, Treatment]:
        """What is compared with the student alone, by name."""
        found = {}
        for form, temperature, alpha in itertools.product(self.form, self.temperature, self.alpha):
            name = f"distilled T={temperature:g} α={alpha:g}"
            name += "" if form == "squared" else f" {PLAIN}"
            found[name] = Treatment(temperature, alpha, squared=form == "squared")
        return found

    def need(self) -> Need:
        """The larger network while it is trained."""
        largest = max(parameter_count(network_called(text)) for text in (self.teacher, self.student))
        return Need(TRAINING_COPIES * largest, "weights, gradients, moments and masks of the larger network")


@experiment(
    section="Compression",
    title="Knowledge distillation",
    question="Does a small network learn more from a large one's soft answers than from the labels alone?",
    compares="student alone, distilled, distilled without T²",
    spec=DistillationSpec,
    presets={
        "course": DistillationSpec(),
        "few_labels": DistillationSpec(
            temperature=[3, 8], alpha=[0.5, 0.9], form=["squared"], data_fraction=0.05, seeds=5, steps=800
        ),
        "noisy_labels": DistillationSpec(
            temperature=[3, 8], alpha=[0.7, 1.0], form=["squared"], label_noise=0.4, steps=1300
        ),
        "quick": DistillationSpec(
            teacher="lenet_300_100", student="16", form=["squared"], data_fraction=0.02, steps=60, budget_s=0.3
        ),
    },
    columns=[
        Column("network", "text", "by name or widths"),
        Column("batch", "integer", "images of one timed call; empty where nothing was timed"),
        Column("temperature", "number", "T of the loss; empty for teacher and student alone"),
        Column("alpha", "number", "weight of the teacher in the loss"),
        Column("form", "text", "of the loss: squared has the factor T², unsquared has not"),
        Column("data_fraction", "number", "of the training images that it saw"),
        Column("label_noise", "number", "share of its labels that were wrong"),
        Column("seeds", "integer", "trainings behind the row; 1 for the teacher"),
        Column("steps", "integer", "of each training; empty for the teacher"),
        *("accuracy", "accuracy_lo", "accuracy_hi"),
        Column("validation_accuracy", "number", "mean over the seeds; by this the answer chooses, not by the test set"),
        Column(
            "gain", "number", "test accuracy above the student alone, mean over the seeds of the paired differences"
        ),
        Column("gain_lo", "number", "lower end of its 95 % t interval over the seeds"),
        Column("gain_hi", "number", "upper end of its 95 % t interval over the seeds"),
        Column("gain_verdict", "text", "better or worse where that interval is on one side of 0, else cannot tell"),
        Column(
            "agreement", "number", "share of the test images that it classifies as the teacher does, mean of the seeds"
        ),
        *("parameters", "size_bytes"),
        Column("smaller", "number", "the teacher's parameters over this network's"),
        *TIMED,
        *COMPILED,
        *REASON,
        "max_abs_error",
    ],
    grid=("batch",),
    summary=(
        "variant",
        "accuracy",
        "gain",
        "gain_verdict",
        "agreement",
        "size_bytes",
        "smaller",
        "latency_ms",
        "speedup",
    ),
    details=DETAILS,
    inspects=True,
    answer=lambda frame: answer(frame),
)
def distillation(spec: DistillationSpec, bench: Bench) -> Iterator[Row]:
    """Trains students from the answers of a larger teacher, and the same students alone: same start, batches, steps.

    The loss is alpha T² KL(softmax(teacher/T) || softmax(student/T)) + (1 - alpha) cross-entropy with the labels.
    Gradients through a softmax at T shrink with 1/T²; T² makes up for it. The course forgets it: `unsquared` is that
    loss, for comparison (the course also divides the logits of its cross-entropy by T; this is not copied).
    `gain` is the test accuracy above that of the student alone, paired seed by seed, with Student's t interval over
    the seeds: it supposes that differences between seeds are about normal, which so few cannot show; each is in the
    detail `seeds`. It holds for this one teacher and this test set. `accuracy` is the mean of the seeds, its Wilson
    interval that of 10,000 images, which all seeds share. The teacher learnt from all clean labels, also where the
    students get few or wrong ones: the teacher knows more than the student. Validation labels stay clean.
    A distilled student is the student alone with other weights, the same kernels: latency is measured once, for the
    student alone against the teacher. The file of a variant, and `max_abs_error` against numpy, are its first seed's.
    Not measured: other teachers, learning rates of its own for each loss, the time that training takes.
    Source: Hinton, Vinyals, Dean 2015, Distilling the Knowledge in a Neural Network.
    """
    from experiments.compression.distillation.study import study_of

    study = study_of(
        bench,
        network_called(spec.teacher),
        network_called(spec.student),
        range(spec.first_seed, spec.first_seed + spec.seeds),
        treatments=1 + len(spec.treatments),
        steps=spec.steps,
        fraction=spec.data_fraction,
        noise=spec.label_noise,
        shift=spec.shift,
    )
    _soft_targets(spec, bench, study)
    alone = study.teach(0, STUDENT, ALONE)
    _report(bench, alone, alone)
    yield from _timed(spec, bench, study, alone)
    for number, (name, treatment) in enumerate(spec.treatments.items(), start=1):
        taught = study.teach(number, name, treatment)
        _report(bench, taught, alone)
        yield _distilled(spec, bench, study, taught, alone)


def _soft_targets(spec: DistillationSpec, bench: Bench, study: "Study") -> None:
    """The details on dark knowledge: digits that the teacher gets right with some doubt."""
    from experiments.compression.distillation.reports import digits_report, instructive, targets_report
    from experiments.models.sequential.network import forward_numpy

    validation = study.lessons[0].data.validation
    logits = forward_numpy(study.teacher.network, study.teacher.weights, validation.images)
    shown = instructive(logits, validation.labels, SHOWN_DIGITS)
    bench.detail("digits", digits_report(validation, shown))
    bench.detail("targets", targets_report(logits, validation.labels, shown, [1.0, *spec.temperature]))


def _report(bench: Bench, taught: "Taught", alone: "Taught") -> None:
    """The details of one treatment: each seed, its learning curve, what is taken for what."""
    from experiments.compression.distillation.reports import confusion_report, learning_report, seeds_report

    bench.detail("seeds", seeds_report(taught, alone))
    bench.detail("learning", learning_report(taught))
    bench.detail("confusion", confusion_report(taught))


def _timed(spec: DistillationSpec, bench: Bench, study: "Study", alone: "Taught") -> Iterator[Row]:
    """Teacher and student alone, timed side by side."""
    from experiments.bench.tinygrad.capture import captured_work

    teacher = study.teacher
    made = {
        TEACHER: _deployed(spec, bench, study, TEACHER, teacher.network, teacher.weights),
        STUDENT: _deployed(spec, bench, study, STUDENT, study.student, alone.students[0].weights),
    }
    measured = bench.compare({name: one.program.call for name, one in made.items()}, TEACHER)
    known: dict[str, Value] = {
        **_score([teacher.test_accuracy], len(study.test)),
        "validation_accuracy": teacher.validation_accuracy,
        "data_fraction": 1.0,
        "label_noise": 0.0,
        "agreement": 1.0,
    }
    learnt = {TEACHER: known, STUDENT: _learnt(spec, study, alone)}
    for name, one in made.items():
        program = one.program
        latency_s, work = measured.latency(name).median, captured_work(program.jit)
        reasons = bench.inspect({name: latency_s}, program.function, program.jit, [program.inputs], batch=spec.batch)
        values: dict[str, Any] = {
            "batch": spec.batch,
            **learnt[name],
            **_stored(study, one),
            **work.columns(latency_s),
            **reasons[name],
        }
        yield timed_row(measured, name, wrong=program.wrong, **values)


def _distilled(spec: DistillationSpec, bench: Bench, study: "Study", taught: "Taught", alone: "Taught") -> Row:
    """The row of one treatment; a student that computes wrongly has no gain."""
    made = _deployed(spec, bench, study, taught.name, study.student, taught.students[0].weights)
    values: dict[str, Value] = {
        "variant": taught.name,
        "temperature": taught.treatment.temperature,
        "alpha": taught.treatment.alpha,
        "form": "squared" if taught.treatment.squared else "unsquared",
        **_learnt(spec, study, taught),
        **_stored(study, made),
    }
    if made.program.wrong:
        return Row({**values, "verdict": "wrong"})
    gain = mean_interval(taught.gains(alone))
    found: dict[str, Value] = {"gain": gain.median, "gain_lo": gain.lo, "gain_hi": gain.hi}
    return Row({**values, **found, "gain_verdict": _verdict(gain)})


def _deployed(
    spec: DistillationSpec, bench: Bench, study: "Study", name: str, network: "Network", weights: "Weights"
) -> "DeployedNetwork":
    """A network as it would be deployed; its file is kept with the run."""
    from experiments.models.compiled import deploy

    made = deploy(network, weights, study.test.images[: spec.batch], bench.device)
    bench.artifact(f"{name}.tinylab", made.file)
    return made


def _learnt(spec: DistillationSpec, study: "Study", taught: "Taught") -> dict[str, Value]:
    """The columns on what students were given and what they know."""
    return {
        "data_fraction": spec.data_fraction,
        "label_noise": spec.label_noise,
        "steps": study.lessons[0].steps,
        **_score(taught.accuracies, len(study.test)),
        "validation_accuracy": taught.validation_accuracy,
        "agreement": float((taught.said == study.teacher_said).mean()),
    }


def _stored(study: "Study", made: "DeployedNetwork") -> dict[str, Value]:
    """The columns on a network's size, and whether it computes what it should."""
    return {
        "network": made.network.name,
        "parameters": made.parameters,
        "size_bytes": len(made.file),
        "smaller": parameter_count(study.teacher.network) / made.parameters,
        "max_abs_error": made.program.max_abs_error,
    }


def _score(accuracies: Sequence[float], images: int) -> dict[str, Value]:
    """The mean accuracy of some trainings with the interval that so many test images allow."""
    right = wilson(round(float(np.mean(accuracies)) * images), images)
    return {
        "seeds": len(accuracies),
        "accuracy": float(np.mean(accuracies)),
        "accuracy_lo": right.lo,
        "accuracy_hi": right.hi,
    }


def _verdict(gain: Interval) -> str:
    if gain.holds(0.0):
        return "cannot tell"
    return "better" if gain.median > 0 else "worse"


def answer(frame: "pd.DataFrame") -> str:
    """What the best treatment by the validation images gains, and what the student saves."""
    rows = frame[frame["gain"].notna()]
    teacher, alone = frame[frame["variant"] == TEACHER], frame[frame["variant"] == STUDENT]
    if rows.empty or teacher.empty or alone.empty:
        return ""
    large, small, best = teacher.iloc[0], alone.iloc[0], rows.nlargest(1, "validation_accuracy").iloc[0]
    points, chosen = best["gain"] * 100, f" (best of {len(rows)} by the validation images)" if len(rows) > 1 else ""
    found = {"better": f"gains {points:.2f}", "worse": f"loses {-points:.2f}"}
    said = (
        f"On {best['device']} {small['network']}{_circumstances(small)}, {best['variant']}{chosen}, "
        f"{found.get(best['gain_verdict'], f'has no gain that can be told: {points:+.2f}')} points of test accuracy "
        f"(95 % {best['gain_lo'] * 100:+.2f} to {best['gain_hi'] * 100:+.2f} over {best['seeds']} seeds): "
        f"{best['accuracy']:.2%}, alone {small['accuracy']:.2%}, its teacher {large['network']} "
        f"{large['accuracy']:.2%} with {small['smaller']:.3g}x the parameters"
    )
    if large["parameters"] < small["parameters"]:
        said += ", a teacher smaller than its student"
    return f"{said}; in the teacher's place it {describe_speedup(small, 'a call')} at batch {small['batch']}."


def _circumstances(row: Any) -> str:
    """`with 5% of the training images and 40% of its labels wrong`; empty where nothing is amiss."""
    parts = [f"{row['data_fraction'] * 100:.3g}% of the training images"] if row["data_fraction"] < 1 else []
    parts += [f"{row['label_noise'] * 100:.3g}% of its labels wrong"] if row["label_noise"] > 0 else []
    return f" with {' and '.join(parts)}" if parts else ""
