"""Run with -m and a state file: trainings of one tiny network; prints what a test compares as JSON.

One process for all of them: compiling the training step is what takes the time.
"""

import dataclasses
import json
import sys
from pathlib import Path

import numpy as np

from experiments.models.data.mnist import Dataset, Split
from experiments.models.sequential.forward import initial_weights
from experiments.models.sequential.network import mlp
from experiments.models.training.feeding import Feeder, Teacher
from experiments.models.training.settings import Settings
from experiments.models.training.trainer import Trainer, shared_trainer

NETWORK, SETTINGS = mlp(16, 6, 3), Settings(epochs=3, batch=8, rate=0.05, seed=5)
RNG = np.random.default_rng(0)


def bars(count):
    """Images with a bright row, a bright column or neither: classes that a shift does not change."""
    images = RNG.random((count, 4, 4), np.float32) / 4
    labels = RNG.integers(0, 3, count)
    images[labels == 0, 1] += 1
    images[labels == 1, :, 1] += 1
    return Split(images.reshape(count, 16), labels)


DATA = Dataset(bars(320), bars(200), bars(1), "bars")
TRAINER = shared_trainer(NETWORK, "CPU", 8)


def lists(weights):
    return {name: one.tolist() for name, one in weights.items()}


def nonzero(arrays):
    return sum(int(np.count_nonzero(one)) for one in arrays)


def refusal(call):
    try:
        call()
    except ValueError as error:
        return str(error)
    return None


def recorder(steps):
    """An `on_step` that appends step, number of steps and weights before each of the first three steps."""

    def record(trainer, step, of):
        if step < 3:
            steps.append((step, of, lists(trainer.weights())))

    return record


def first_training():
    """A training, with what numpy needs to follow its first two steps, and what the padding does."""
    steps, progress = [], []
    first = TRAINER.fit(DATA, SETTINGS, on_step=recorder(steps), progress=lambda *what: progress.append(what))
    chunk = next(Feeder(DATA.train, SETTINGS).epoch(0, 2))
    tensors = TRAINER._weights.values()
    return {
        "same object": shared_trainer(NETWORK, "CPU", 8) is TRAINER,
        "start": lists(initial_weights(NETWORK, 5)),
        "batches": [chunk.images.tolist(), chunk.labels.tolist()],
        "steps": steps,
        "told": progress,
        "curve": first.curve,
        "first": lists(first.weights),
        "shapes": {name: list(one.shape) for name, one in first.weights.items()},
        "padding": nonzero(one.numpy() for one in tensors) - nonzero(first.weights.values()),
        "padded": sum(one.numel() for one in tensors) - sum(one.size for one in first.weights.values()),
    }


def further_trainings():
    """The same step again: another seed, masks, a number of steps, an evaluation, and what is refused."""
    captured = TRAINER._step.captured
    masks = {"layers.0.weight": np.tile([0, 1], (6, 8))}
    late = TRAINER.fit(DATA, SETTINGS, on_step=lambda one, step, of: one.set_masks(masks) if step == of // 2 else None)
    counted = []
    cut = TRAINER.fit(DATA, SETTINGS, steps=50, on_step=lambda one, step, of: counted.append([step, of]))
    evaluated = TRAINER.fit(DATA, SETTINGS, evaluate=lambda weights: 0.25)
    broken = dataclasses.replace(DATA, train=Split(DATA.train.images * np.float32(1e38), DATA.train.labels))
    return {
        "again": lists(TRAINER.fit(DATA, SETTINGS).weights),
        "other seed": lists(TRAINER.fit(DATA, dataclasses.replace(SETTINGS, seed=6)).weights),
        "masked": lists(TRAINER.fit(DATA, SETTINGS, masks=masks).weights),
        "masked late": lists(late.weights),
        "judged": [record["validation_accuracy"] for record in evaluated.curve],
        "counted": counted,
        "cut": cut.curve,
        "whole": lists(TRAINER.fit(DATA, SETTINGS, steps=120).weights),
        "compiled once": TRAINER._step.captured is captured,
        "no steps": refusal(lambda: TRAINER.fit(DATA, SETTINGS, steps=0)),
        "own start": refusal(lambda: TRAINER.fit(DATA, SETTINGS, start=initial_weights(mlp(16, 7, 3), 0))),
        "no such mask": refusal(lambda: TRAINER.set_masks({"layers.9.bias": np.ones(1)})),
        "batch": refusal(lambda: TRAINER.fit(DATA, dataclasses.replace(SETTINGS, batch=4))),
        "diverged": refusal(lambda: TRAINER.fit(broken, SETTINGS)),
        "no teacher": refusal(lambda: TRAINER.fit(DATA, SETTINGS, teacher=Teacher(wrong_logits(), 1.0, 0.5))),
    }


class Interruption(Exception):
    """Raised by a progress callback."""


def interrupted(state):
    """A training that stops after its second epoch and continues from its state file, whole and damaged."""

    def stop(fraction, message, record):
        if record and record["epoch"] == 2:
            raise Interruption

    try:
        TRAINER.fit(DATA, SETTINGS, state=state, progress=stop)
    except Interruption:
        left = state.exists()
    content, epochs = state.read_bytes(), []

    def note(fraction, message, record):
        if record:
            epochs.append([message, record["epoch"]])

    resumed = TRAINER.fit(DATA, SETTINGS, state=state, progress=note)
    removed = not state.exists()
    state.write_bytes(content[:-1])
    return {
        "state is left": left,
        "resumed": lists(resumed.weights),
        "resumed curve": resumed.curve,
        "resumed epochs": epochs,
        "state is gone": removed,
        "damaged state": lists(TRAINER.fit(DATA, SETTINGS, state=state).weights),
    }


def wrong_logits():
    """Of a teacher that takes every class for the next one, for each of nine shifts."""
    return np.tile(10 * np.eye(3, dtype=np.float32)[(DATA.train.labels + 1) % 3], (9, 1, 1))


def distilled():
    """Students of a wrong teacher, and the first two steps with and without the temperature squared."""
    student = Trainer(NETWORK, "CPU", 8, distill=True)
    wrong = wrong_logits()
    seen = {
        "alpha 0": lists(student.fit(DATA, SETTINGS, teacher=Teacher(wrong, 3.0, 0.0)).weights),
        "untaught": lists(student.fit(DATA, SETTINGS).weights),
        "alpha 1": student.fit(DATA, SETTINGS, teacher=Teacher(wrong, 2.0, 1.0)).curve[-1]["validation_accuracy"],
    }
    captured, short, taught, losses = student._step.captured, dataclasses.replace(SETTINGS, epochs=1), [], []
    logits = 2 * RNG.standard_normal((9, 320, 3))
    for squared in (True, False):
        teacher, steps = Teacher(logits, 3.0, 0.7, squared), []
        trained = student.fit(DATA, short, teacher=teacher, on_step=recorder(steps))
        taught.append(steps)
        losses.append(trained.curve[-1]["train_loss"])
    seen["taught"], seen["taught losses"] = taught, losses
    seen["soft"] = next(Feeder(DATA.train, short, teacher).epoch(0, 2)).logits.tolist()
    seen["teachers compiled once"] = student._step.captured is captured
    return seen


def hooked():
    """A training whose hook replaces one weight by zeros."""
    trainer = Trainer(NETWORK, "CPU", 8, weight=lambda name, w: w * 0 if name == "layers.1.weight" else w)
    return {"hooked": lists(trainer.fit(DATA, dataclasses.replace(SETTINGS, epochs=1)).weights)}


def main():
    seen = first_training() | further_trainings() | interrupted(Path(sys.argv[1])) | distilled() | hooked()
    seen["losses"] = {
        "trainer": [record["train_loss"] for record in seen["curve"]],
        "teacher": seen.pop("taught losses"),
    }
    print(json.dumps(seen))


if __name__ == "__main__":
    main()
