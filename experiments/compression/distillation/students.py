"""Students trained with and without a teacher: same initial weights and batches for each seed, one compiled step.

Temperature, alpha and the teacher's logits are buffers of the student's training step, so that it is compiled once
for all of them.
Source: Hinton, Vinyals, Dean 2015, Distilling the Knowledge in a Neural Network; Beyer et al. 2022, A good teacher is
patient and consistent (teacher and student see the same shifted image).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.bench.arrays import Array
from experiments.compression.distillation.spec import DistillationConfig
from experiments.compression.distillation.training_sets import TrainingSet, training_sets
from experiments.models.data.mnist import Split, mnist
from experiments.models.sequential.forward import accuracy_numpy, forward_numpy
from experiments.models.sequential.network import Network, Weights
from experiments.models.training.checkpoints import Checkpoint, load_checkpoint
from experiments.models.training.feeding import Teacher

if TYPE_CHECKING:
    from experiments.bench.session import Bench
    from experiments.models.training.trainer import Trainer

CURVE_POINTS = 10  # of a learning curve, evenly spaced over the steps
TEACHER_SHARE = 0.3  # of the progress
REPORT_EVERY = 8  # steps


@dataclass(frozen=True)
class TrainedStudent:
    """Weights, and (step, validation accuracy 0..1) during training; the last point is the end."""

    seed: int
    weights: Weights
    curve: list[tuple[int, float]]

    @property
    def validation_accuracy(self) -> float:
        """At the end of training, 0..1."""
        return self.curve[-1][1]


@dataclass(frozen=True)
class StudentRuns:
    """The students of one config, one per seed; test predictions (seeds, n) and labels (n)."""

    name: str
    config: DistillationConfig
    students: list[TrainedStudent]
    predictions: Array
    labels: Array

    @property
    def accuracies(self) -> list[float]:
        """Test accuracy of each seed, 0..1."""
        return [float(accuracy) for accuracy in (self.predictions == self.labels).mean(axis=1)]

    @property
    def validation_accuracy(self) -> float:
        """The mean over the seeds, 0..1."""
        return float(np.mean([student.validation_accuracy for student in self.students]))

    def gains(self, alone: "StudentRuns") -> list[float]:
        """Test accuracy of each seed less that of the student alone with the same seed."""
        return [mine - other for mine, other in zip(self.accuracies, alone.accuracies, strict=True)]


@dataclass(frozen=True)
class Distiller:
    """A teacher, the training sets, and the student's compiled training step, for `configs` trainings per seed."""

    bench: "Bench"
    teacher: Checkpoint
    teacher_predictions: Array
    student: Network
    training_sets: Sequence[TrainingSet]
    trainer: "Trainer"
    test: Split
    configs: int

    def train(self, number: int, name: str, config: DistillationConfig) -> StudentRuns:
        """Trains one student per seed with the `number`-th config, from 0, and reports progress."""
        seeds = [one.seed for one in self.training_sets]

        def on_step(seed: int, step: int, steps: int) -> None:
            if step % REPORT_EVERY == 0:
                done = (number + (seeds.index(seed) + step / steps) / len(seeds)) / self.configs
                message = f"{name}, seed {seed}: step {step} of {steps}"
                self.bench.progress(TEACHER_SHARE + (1 - TEACHER_SHARE) * done, message)

        students = [train_student(self.trainer, one, config, on_step) for one in self.training_sets]
        logits = [forward_numpy(self.student, one.weights, self.test.images) for one in students]
        predictions = np.stack([one.argmax(axis=1) for one in logits])
        return StudentRuns(name, config, students, predictions, self.test.labels)


def distiller_for(
    bench: "Bench",
    teacher: Network,
    student: Network,
    seeds: Sequence[int],
    *,
    configs: int,
    steps: int,
    fraction: float,
    noise: float,
    shift: int,
) -> Distiller:
    """Loads the teacher or trains it on all clean labels, and prepares the training sets (see `training_sets`)."""
    from experiments.models.training.trainer import Trainer

    def progress(done: float, message: str, _: dict[str, Any] | None) -> None:
        bench.progress(done * TEACHER_SHARE, f"training the teacher: {message}")

    data, loaded = mnist(), load_checkpoint(teacher, device=bench.device, progress=progress)
    shifts = (2 * shift + 1) ** 2
    bench.progress(TEACHER_SHARE, f"computing the teacher's logits for {shifts} shifts of every image")
    sets = training_sets(
        (teacher, loaded.weights), student, data, seeds, steps=steps, fraction=fraction, noise=noise, shift=shift
    )
    predictions = forward_numpy(teacher, loaded.weights, data.test.images).argmax(axis=1)
    trainer = Trainer(student, bench.device, distill=True)
    return Distiller(bench, loaded, predictions, student, sets, trainer, data.test, configs)


def train_student(
    trainer: "Trainer",
    training_set: TrainingSet,
    config: DistillationConfig,
    on_step: Callable[[int, int, int], None],
) -> TrainedStudent:
    """Trains one student by a `Trainer` with `distill=True`; calls `on_step(seed, step, steps)` before each step.

    Students of one training set start with the same weights and see the same batches, so that configs can be
    compared pairwise by seed.
    """
    curve: list[tuple[int, float]] = []
    every = max(1, training_set.steps // CURVE_POINTS)

    def validation_accuracy(weights: Weights) -> float:
        validation = training_set.data.validation
        return accuracy_numpy(trainer.network, weights, validation.images, validation.labels)

    def before_step(now: "Trainer", step: int, steps: int) -> None:
        on_step(training_set.seed, step, steps)
        if step and step % every == 0 and step + every <= steps:  # the last point is added below
            curve.append((step, validation_accuracy(now.weights())))

    last = trainer.fit(
        training_set.data,
        training_set.settings,
        teacher=Teacher(training_set.logits, config.temperature, config.alpha, config.squared),
        on_step=before_step,
        evaluate=lambda _: math.nan,  # the curve replaces the evaluation after each epoch
    ).weights
    return TrainedStudent(training_set.seed, last, [*curve, (training_set.steps, validation_accuracy(last))])
