"""A teacher and its students on MNIST: what a distillation experiment trains, and how far it has come."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.bench.arrays import Array
from experiments.compression.distillation.students import Lesson, Taught, Treatment, lessons, student_of
from experiments.models.data.mnist import Split, mnist
from experiments.models.sequential.network import Network, forward_numpy
from experiments.models.training.checkpoints import Checkpoint, load_checkpoint

if TYPE_CHECKING:
    from experiments.bench.session import Bench
    from experiments.models.training.trainer import Trainer

TEACHER_SHARE = 0.3  # of the progress
TOLD_EVERY = 8  # steps


@dataclass(frozen=True)
class Study:
    """Teacher, lessons and the one compiled step of the student, for so many treatments."""

    bench: "Bench"
    teacher: Checkpoint
    teacher_said: Array
    student: Network
    lessons: Sequence[Lesson]
    trainer: "Trainer"
    test: Split
    treatments: int

    def teach(self, number: int, name: str, treatment: Treatment) -> Taught:
        """Trains the students of one treatment, the `number`-th of all from 0, telling every few steps."""
        seeds = [lesson.seed for lesson in self.lessons]

        def on_step(seed: int, step: int, steps: int) -> None:
            if step % TOLD_EVERY == 0:
                done = (number + (seeds.index(seed) + step / steps) / len(seeds)) / self.treatments
                message = f"{name}, seed {seed}: step {step} of {steps}"
                self.bench.progress(TEACHER_SHARE + (1 - TEACHER_SHARE) * done, message)

        found = [student_of(self.trainer, lesson, treatment, on_step) for lesson in self.lessons]
        said = [forward_numpy(self.student, one.weights, self.test.images).argmax(axis=1) for one in found]
        return Taught(name, treatment, found, np.stack(said), self.test.labels)


def study_of(
    bench: "Bench",
    teacher: Network,
    student: Network,
    seeds: Sequence[int],
    *,
    treatments: int,
    steps: int,
    fraction: float,
    noise: float,
    shift: int,
) -> Study:
    """Loads or trains the teacher on all clean labels, and makes the lessons of the seeds as `lessons`."""
    from experiments.models.training.trainer import Trainer

    def progress(done: float, message: str, _: dict[str, Any] | None) -> None:
        bench.progress(done * TEACHER_SHARE, f"training the teacher: {message}")

    data, loaded = mnist(), load_checkpoint(teacher, device=bench.device, progress=progress)
    places = (2 * shift + 1) ** 2
    bench.progress(
        TEACHER_SHARE, f"the teacher answers for every image that a student may see, moved to {places} places"
    )
    given = lessons(
        (teacher, loaded.weights),
        student,
        data,
        seeds,
        steps=steps,
        fraction=fraction,
        noise=noise,
        shift=shift,
    )
    said = forward_numpy(teacher, loaded.weights, data.test.images).argmax(axis=1)
    trainer = Trainer(student, bench.device, distill=True)
    return Study(bench, loaded, said, student, given, trainer, data.test, treatments)
