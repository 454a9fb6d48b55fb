"""What distillation shows besides its rows: records of seeds, curves, confusions, and the teacher's soft targets."""

from collections.abc import Sequence

import numpy as np

from experiments.bench.arrays import Array
from experiments.bench.columns import Column, Value
from experiments.compression.distillation.students import CLASSES, Taught
from experiments.models.data.mnist import Split

Record = dict[str, Value]

SHOWN_DIGITS = 3
DOUBT = 0.8  # the probability of the right class: less is a digit that nobody can read
VARIANT = Column("variant", "text", "how the student was taught")
SEED = Column("seed", "integer", "of the student")
DIGIT = Column("digit", "integer", "number of the image, from 1")
LABEL = Column("label", "integer", "what the image shows")
DETAILS = {
    "seeds": [
        *(VARIANT, SEED),
        Column("accuracy", "number", "on the test set"),
        Column("validation_accuracy", "number", "on the 5,000 validation images"),
        Column("gain", "number", "test accuracy above the student alone of the same seed"),
    ],
    "learning": [
        *(VARIANT, SEED),
        Column("step", "integer", "steps taken"),
        Column("validation_accuracy", "number", "on the 5,000 validation images"),
    ],
    "confusion": [
        *(VARIANT, LABEL),
        Column("said", "integer", "what the student takes it for"),
        Column("count", "integer", "test images, summed over the seeds"),
    ],
    "targets": [
        *(DIGIT, LABEL),
        Column("temperature", "number", "by which the teacher's logits were divided"),
        Column("said", "integer", "class"),
        Column("probability", "number", "that the teacher gives it: the soft target"),
    ],
    "digits": [
        *(DIGIT, LABEL),
        Column("row", "integer", "of the pixel, from the top"),
        Column("column", "integer", "of the pixel, from the left"),
        Column("brightness", "number", "0 is background, 1 is ink"),
    ],
}


def softened(logits: Array, temperature: float) -> Array:
    """softmax(logits / temperature) over the last axis."""
    scaled = logits.astype(np.float64) / temperature
    powers = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def instructive(logits: Array, labels: Array, most: int) -> list[int]:
    """At most `most` images of different classes that are classified rightly, with a certainty nearest to DOUBT."""
    certain = softened(logits, 1.0).max(axis=1)
    right = np.flatnonzero(logits.argmax(axis=1) == labels)
    found: dict[int, int] = {}
    for image in right[np.argsort(abs(certain[right] - DOUBT), kind="stable")]:
        found.setdefault(int(labels[image]), int(image))
    return list(found.values())[:most]


def digits_report(split: Split, shown: Sequence[int]) -> list[Record]:
    """Every pixel of the images numbered in `shown`."""
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


def targets_report(logits: Array, labels: Array, shown: Sequence[int], temperatures: Sequence[float]) -> list[Record]:
    """The probabilities of all classes for the images numbered in `shown`, at each temperature."""
    return [
        {
            "digit": digit,
            "label": int(labels[image]),
            "temperature": temperature,
            "said": said,
            "probability": float(probability),
        }
        for digit, image in enumerate(shown, start=1)
        for temperature in dict.fromkeys(temperatures)
        for said, probability in enumerate(softened(logits[image], temperature))
    ]


def seeds_report(taught: Taught, alone: Taught) -> list[Record]:
    """Test and validation accuracy of each seed, and its gain over `alone`; the student alone has none."""
    gains: Sequence[float | None] = [None] * len(taught.students) if taught is alone else taught.gains(alone)
    return [
        {
            "variant": taught.name,
            "seed": one.seed,
            "accuracy": accuracy,
            "validation_accuracy": one.validation_accuracy,
            "gain": gain,
        }
        for one, accuracy, gain in zip(taught.students, taught.accuracies, gains, strict=True)
    ]


def learning_report(taught: Taught) -> list[Record]:
    """The learning curve of each seed."""
    return [
        {"variant": taught.name, "seed": one.seed, "step": step, "validation_accuracy": accuracy}
        for one in taught.students
        for step, accuracy in one.curve
    ]


def confusion_report(taught: Taught) -> list[Record]:
    """How many test images of each class are taken for which, over all seeds."""
    counts = np.zeros((CLASSES, CLASSES), int)
    np.add.at(counts, (np.broadcast_to(taught.labels, taught.said.shape), taught.said), 1)
    return [
        {"variant": taught.name, "label": at[0], "said": at[1], "count": int(count)}
        for at, count in np.ndenumerate(counts)
    ]
