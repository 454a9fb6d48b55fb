"""MNIST, bundled with the project: training, validation and test images as numpy arrays."""

import functools
import hashlib
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from experiments.bench.arrays import Array

FILE = Path(__file__).with_name("mnist.npz")
SHA256 = "39b9b1ffaa0ba4d8995a616551f0966941fe02a3fe79ba4a9db7373db16d53ad"
VALIDATION, SPLIT_SEED = 5_000, 20_260_101


class DamagedData(ValueError):
    """The data file is missing or its checksum is wrong; one line."""


@dataclass(frozen=True)
class Split:
    """Images, float32 from 0 to 1, shaped (n, 784), and their labels, int64 from 0 to 9; both read-only."""

    images: Array
    labels: Array

    def __len__(self) -> int:
        return len(self.labels)

    def first(self, count: int) -> "Split":
        """The first `count` images; the order within a split is random, so they are a random sample."""
        return Split(self.images[:count], self.labels[:count])


@dataclass(frozen=True)
class Dataset:
    """Train on `train`, choose on `validation`, report `test`. `checksum`: SHA-256 of the file."""

    train: Split
    validation: Split
    test: Split
    checksum: str


@functools.cache
def mnist() -> Dataset:
    """55,000 training, 5,000 validation and 10,000 test digits of 28x28 pixels; loaded once per process.

    The validation images are a fixed random choice from the original training set.
    Raises DamagedData if the bundled file is missing or its SHA-256 is wrong.
    Source: Y. LeCun, C. Cortes, C. Burges, The MNIST database of handwritten digits.
    """
    return read(FILE, SHA256)


def read(file: Path, checksum: str) -> Dataset:
    """The data set in `file`; DamagedData unless its SHA-256 is `checksum`."""
    try:
        content = file.read_bytes()
    except OSError as error:
        raise DamagedData(
            f"{file.name}: cannot be read ({error.strerror}); restore it: git checkout {file.name}"
        ) from None
    found = hashlib.sha256(content).hexdigest()
    if found != checksum:
        raise DamagedData(
            f"{file.name}: damaged, its SHA-256 starts with {found[:12]} instead of {checksum[:12]}; "
            f"restore it: git checkout {file.name}"
        )
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        images, labels = _split(arrays["train_images"], arrays["train_labels"])
        test = _frozen(arrays["test_images"], arrays["test_labels"])
    return Dataset(
        train=_frozen(images[VALIDATION:], labels[VALIDATION:]),
        validation=_frozen(images[:VALIDATION], labels[:VALIDATION]),
        test=test,
        checksum=checksum,
    )


def _split(images: Array, labels: Array) -> tuple[Array, Array]:
    order = np.random.default_rng(SPLIT_SEED).permutation(len(images))
    return images[order], labels[order]


def _frozen(images: Array, labels: Array) -> Split:
    scaled = images.reshape(len(images), -1).astype(np.float32)
    scaled /= 255
    split = Split(scaled, labels.astype(np.int64))
    split.images.flags.writeable = split.labels.flags.writeable = False  # one copy serves the whole process
    return split
