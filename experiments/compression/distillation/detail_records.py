"""Fills the detail frames of a distillation run: seeds, learning curves, confusions, and the teacher's soft targets."""

from collections.abc import Sequence

import numpy as np

from experiments.bench.arrays import Array
from experiments.bench.columns import Value
from experiments.compression.distillation.spec import CLASSES
from experiments.compression.distillation.students import StudentRuns
from experiments.models.data.mnist import Split

MAX_DIGITS = 3
DOUBT = 0.8  # probability of the correct class; digits with less are often illegible


def soft_targets(logits: Array, temperature: float) -> Array:
    """softmax(logits / temperature) over the last axis."""
    scaled = logits.astype(np.float64) / temperature
    powers = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def doubtful_digits(logits: Array, labels: Array) -> list[int]:
    """Up to 3 correctly classified images of different classes whose probability is nearest to `DOUBT`."""
    probability = soft_targets(logits, 1.0).max(axis=1)
    correct = np.flatnonzero(logits.argmax(axis=1) == labels)
    found: dict[int, int] = {}
    for image in correct[np.argsort(abs(probability[correct] - DOUBT), kind="stable")]:
        found.setdefault(int(labels[image]), int(image))
    return list(found.values())[:MAX_DIGITS]


def digit_records(split: Split, shown: Sequence[int]) -> list[dict[str, Value]]:
    """Every pixel of the images with the indices `shown`."""
    side = round(split.images.shape[1] ** 0.5)
    return [
        {
            "digit": digit,
            "label": int(split.labels[image]),
            "row": pixel // side,
            "column": pixel % side,
            "brightness": float(brightness),
        }
        for digit, image in enumerate(shown, start=1)
        for pixel, brightness in enumerate(split.images[image])
    ]


def target_records(
    logits: Array, labels: Array, shown: Sequence[int], temperatures: Sequence[float]
) -> list[dict[str, Value]]:
    """The teacher's probabilities of all classes for the images with the indices `shown`, at each temperature."""
    return [
        {
            "digit": digit,
            "label": int(labels[image]),
            "temperature": temperature,
            "said": predicted,
            "probability": float(probability),
        }
        for digit, image in enumerate(shown, start=1)
        for temperature in dict.fromkeys(temperatures)
        for predicted, probability in enumerate(soft_targets(logits[image], temperature))
    ]


def seed_records(runs: StudentRuns, alone: StudentRuns) -> list[dict[str, Value]]:
    """Test and validation accuracy of each seed and its gain over `alone`; None for the student alone itself."""
    gains: Sequence[float | None] = [None] * len(runs.students) if runs is alone else runs.gains(alone)
    return [
        {
            "variant": runs.name,
            "seed": student.seed,
            "accuracy": accuracy,
            "validation_accuracy": student.validation_accuracy,
            "gain": gain,
        }
        for student, accuracy, gain in zip(runs.students, runs.accuracies, gains, strict=True)
    ]


def learning_records(runs: StudentRuns) -> list[dict[str, Value]]:
    """The learning curve of each seed."""
    return [
        {"variant": runs.name, "seed": student.seed, "step": step, "validation_accuracy": accuracy}
        for student in runs.students
        for step, accuracy in student.curve
    ]


def confusion_records(runs: StudentRuns) -> list[dict[str, Value]]:
    """The number of test images by label and predicted class, over all seeds."""
    counts = np.zeros((CLASSES, CLASSES), int)
    np.add.at(counts, (np.broadcast_to(runs.labels, runs.predictions.shape), runs.predictions), 1)
    return [
        {"variant": runs.name, "label": at[0], "said": at[1], "count": int(count)}
        for at, count in np.ndenumerate(counts)
    ]
