"""Knowledge distillation: the gain of a small network trained on a larger one's outputs over training alone."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from experiments.bench.columns import COMPILED, INCONCLUSIVE, TIMED, Column, Value
from experiments.bench.profile import REASON
from experiments.bench.rows import Row
from experiments.bench.session import Bench, timed_row
from experiments.bench.spec import experiment
from experiments.bench.statistics.intervals import Interval, mean_interval, wilson
from experiments.compression.distillation.answer import STUDENT, TEACHER, answer
from experiments.compression.distillation.details import DETAILS
from experiments.compression.distillation.spec import LABELS_ONLY, DistillationSpec, network_by_name
from experiments.models.sequential.network import Network, Weights, parameter_count

if TYPE_CHECKING:
    from experiments.compression.distillation.students import Distiller, StudentRuns
    from experiments.models.compiled import DeployedNetwork


@experiment(
    section="Compression",
    title="Knowledge distillation",
    question="Does a small network learn more from a large network's outputs than from the labels alone?",
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
        Column("network", "text", "name or widths"),
        Column("batch", "integer", "images of one timed call; empty if not timed"),
        Column("temperature", "number", "T of the loss; empty for teacher and student alone"),
        Column("alpha", "number", "weight of the teacher in the loss"),
        Column("form", "text", "form of the loss: squared has the factor T², unsquared does not"),
        Column("data_fraction", "number", "share of the training images used"),
        Column("label_noise", "number", "share of wrong training labels"),
        Column("seeds", "integer", "trainings of the row; 1 for the teacher"),
        Column("steps", "integer", "steps of each training; empty for the teacher"),
        *("accuracy", "accuracy_lo", "accuracy_hi"),
        Column(
            "validation_accuracy",
            "number",
            "mean validation accuracy over the seeds; the answer names the variant with the highest",
        ),
        Column(
            "gain", "number", "test accuracy above the student alone, mean of the paired differences over the seeds"
        ),
        Column("gain_lo", "number", "lower end of the 95% t interval of gain over the seeds"),
        Column("gain_hi", "number", "upper end of the 95% t interval of gain over the seeds"),
        Column(
            "gain_verdict",
            "text",
            "better or worse if that interval excludes 0, otherwise inconclusive (stored as `cannot tell`)",
        ),
        Column(
            "agreement",
            "number",
            "share of the test images with the same prediction as the teacher, mean over the seeds",
        ),
        *("parameters", "size_bytes"),
        Column("smaller", "number", "ratio of the teacher's parameters to this network's"),
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
    answer=answer,
)
def distillation(spec: DistillationSpec, bench: Bench) -> Iterator[Row]:
    """Trains students on the logits of a larger teacher, and the same students alone: same start, batches, steps.

    The loss is alpha T² KL(softmax(teacher/T) || softmax(student/T)) + (1 - alpha) cross-entropy with the labels.
    Gradients through a softmax at T shrink with 1/T²; T² compensates. The course omits it: `unsquared` is that
    loss, for comparison (the course also divides the logits of its cross-entropy by T; this is not copied).
    `gain` is the test accuracy above that of the student alone, paired seed by seed, with Student's t interval over
    the seeds: it assumes normally distributed differences, which so few seeds cannot confirm; each is in the
    detail `seeds`. It holds for this one teacher and this test set. `accuracy` is the mean over the seeds, its Wilson
    interval that of 10,000 images, which all seeds share. The teacher is trained on all clean labels, even if the
    students get few or wrong ones. Validation labels stay clean.
    Distillation changes a student's weights, not its kernels: latency is measured once, for the student alone against
    the teacher. The file of a variant, and `max_abs_error` against numpy, are those of its first seed.
    Not measured: other teachers, tuned learning rates per loss, training time.
    Source: Hinton, Vinyals, Dean 2015, Distilling the Knowledge in a Neural Network.
    """
    from experiments.compression.distillation.students import distiller_for

    distiller = distiller_for(
        bench,
        network_by_name(spec.teacher),
        network_by_name(spec.student),
        range(spec.first_seed, spec.first_seed + spec.seeds),
        configs=1 + len(spec.configs),
        steps=spec.steps,
        fraction=spec.data_fraction,
        noise=spec.label_noise,
        shift=spec.shift,
    )
    _report_soft_targets(spec, bench, distiller)
    alone = distiller.train(0, STUDENT, LABELS_ONLY)
    _report_details(bench, alone, alone)
    yield from _timed(spec, bench, distiller, alone)
    for number, (name, config) in enumerate(spec.configs.items(), start=1):
        distilled = distiller.train(number, name, config)
        _report_details(bench, distilled, alone)
        yield _distilled(spec, bench, distiller, distilled, alone)


def _report_soft_targets(spec: DistillationSpec, bench: Bench, distiller: "Distiller") -> None:
    """The teacher's soft targets for digits that it classifies correctly with some doubt."""
    from experiments.compression.distillation.detail_records import digit_records, doubtful_digits, target_records
    from experiments.models.sequential.forward import forward_numpy

    validation = distiller.training_sets[0].data.validation
    logits = forward_numpy(distiller.teacher.network, distiller.teacher.weights, validation.images)
    shown = doubtful_digits(logits, validation.labels)
    bench.detail("digits", digit_records(validation, shown))
    bench.detail("targets", target_records(logits, validation.labels, shown, [1.0, *spec.temperature]))


def _report_details(bench: Bench, runs: "StudentRuns", alone: "StudentRuns") -> None:
    """The details of one config: each seed, its learning curve, confusions."""
    from experiments.compression.distillation.detail_records import confusion_records, learning_records, seed_records

    bench.detail("seeds", seed_records(runs, alone))
    bench.detail("learning", learning_records(runs))
    bench.detail("confusion", confusion_records(runs))


def _timed(spec: DistillationSpec, bench: Bench, distiller: "Distiller", alone: "StudentRuns") -> Iterator[Row]:
    """The rows of the teacher and the student alone, timed side by side."""
    from experiments.bench.tinygrad.capture import captured_work

    teacher = distiller.teacher
    deployed = {
        TEACHER: _deployed(spec, bench, distiller, TEACHER, teacher.network, teacher.weights),
        STUDENT: _deployed(spec, bench, distiller, STUDENT, distiller.student, alone.students[0].weights),
    }
    measured = bench.compare({name: one.program.call for name, one in deployed.items()}, TEACHER)
    of_teacher: dict[str, Value] = {
        **_accuracy_columns([teacher.test_accuracy], len(distiller.test)),
        "validation_accuracy": teacher.validation_accuracy,
        "data_fraction": 1.0,
        "label_noise": 0.0,
        "agreement": 1.0,
    }
    training = {TEACHER: of_teacher, STUDENT: _training_columns(spec, distiller, alone)}
    for name, one in deployed.items():
        program = one.program
        latency_s, work = measured.latency(name).median, captured_work(program.jit)
        reasons = bench.inspect({name: latency_s}, program.function, program.jit, [program.inputs], batch=spec.batch)
        values: dict[str, Any] = {
            "batch": spec.batch,
            **training[name],
            **_size_columns(distiller, one),
            **work.columns(latency_s),
            **reasons[name],
        }
        yield timed_row(measured, name, wrong=program.wrong, **values)


def _distilled(
    spec: DistillationSpec, bench: Bench, distiller: "Distiller", runs: "StudentRuns", alone: "StudentRuns"
) -> Row:
    """The row of one config; a student with a wrong output has no gain."""
    deployed = _deployed(spec, bench, distiller, runs.name, distiller.student, runs.students[0].weights)
    values: dict[str, Value] = {
        "variant": runs.name,
        "temperature": runs.config.temperature,
        "alpha": runs.config.alpha,
        "form": "squared" if runs.config.squared else "unsquared",
        **_training_columns(spec, distiller, runs),
        **_size_columns(distiller, deployed),
    }
    if deployed.program.wrong:
        return Row({**values, "verdict": "wrong"})
    gain = mean_interval(runs.gains(alone))
    gains: dict[str, Value] = {"gain": gain.median, "gain_lo": gain.lo, "gain_hi": gain.hi}
    return Row({**values, **gains, "gain_verdict": _verdict(gain)})


def _deployed(
    spec: DistillationSpec, bench: Bench, distiller: "Distiller", name: str, network: Network, weights: Weights
) -> "DeployedNetwork":
    """A network compiled from its packed file, which is stored with the run."""
    from experiments.models.compiled import deploy

    model = deploy(network, weights, distiller.test.images[: spec.batch], bench.device)
    bench.artifact(f"{name}.tinylab", model.file)
    return model


def _training_columns(spec: DistillationSpec, distiller: "Distiller", runs: "StudentRuns") -> dict[str, Value]:
    """The columns on the students' training data and accuracy."""
    return {
        "data_fraction": spec.data_fraction,
        "label_noise": spec.label_noise,
        "steps": distiller.training_sets[0].steps,
        **_accuracy_columns(runs.accuracies, len(distiller.test)),
        "validation_accuracy": runs.validation_accuracy,
        "agreement": float((runs.predictions == distiller.teacher_predictions).mean()),
    }


def _size_columns(distiller: "Distiller", deployed: "DeployedNetwork") -> dict[str, Value]:
    """The columns on a network's size, and its error against numpy."""
    return {
        "network": deployed.network.name,
        "parameters": deployed.parameters,
        "size_bytes": len(deployed.file),
        "smaller": parameter_count(distiller.teacher.network) / deployed.parameters,
        "max_abs_error": deployed.program.max_abs_error,
    }


def _accuracy_columns(accuracies: Sequence[float], images: int) -> dict[str, Value]:
    """The mean accuracy over the seeds, with the Wilson interval of `images` test images."""
    import numpy as np

    mean = float(np.mean(accuracies))
    interval = wilson(round(mean * images), images)
    return {"seeds": len(accuracies), "accuracy": mean, "accuracy_lo": interval.lo, "accuracy_hi": interval.hi}


def _verdict(gain: Interval) -> str:
    if gain.contains(0.0):
        return INCONCLUSIVE
    return "better" if gain.median > 0 else "worse"
