"""The parameters of the distillation experiment: two networks, the losses, and the students' data."""

import itertools
import math
import re
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from experiments.bench.spec import MeasuredSpec, Need
from experiments.models.sequential.network import NETWORKS, Network, dense, parameter_count
from experiments.models.training.settings import Settings

UNSQUARED = "without T²"  # in names of variants
TRAINING_COPIES = 5 * 4  # bytes of one parameter: weight, gradient, two moments, mask
PIXELS = 784
MAX_WIDTH, MAX_LAYERS = 2048, 4
WIDTHS = re.compile(r"\d{1,5}(-\d{1,5})*")
CLASSES, TRAIN_IMAGES = 10, 55_000
BATCH = Settings().batch


@dataclass(frozen=True)
class DistillationConfig:
    """The loss of a student, as in `feeding.Teacher`; alpha 0 is training on the labels only."""

    temperature: float = 1.0
    alpha: float = 0.0
    squared: bool = True


LABELS_ONLY = DistillationConfig()


def network_by_name(text: str) -> Network:
    """A network by its name or by its widths: `512-256`, the hidden layers only, or `784-512-256-10`.

    The widths of a named network give that network. Raises ValueError with a one-line message if there is none.
    """
    if text in NETWORKS:
        return NETWORKS[text]()
    if not WIDTHS.fullmatch(text):
        raise ValueError(
            f"{text!r} is not a network; give one of {', '.join(NETWORKS)}, or hidden widths such as 512-256"
        )
    widths = tuple(int(width) for width in text.split("-"))
    if len(widths) > 2 and (widths[0], widths[-1]) == (PIXELS, CLASSES):
        widths = widths[1:-1]
    if len(widths) > MAX_LAYERS or not all(1 <= width <= MAX_WIDTH for width in widths):
        raise ValueError(f"{text}: at most {MAX_LAYERS} hidden layers of 1 to {MAX_WIDTH} units are allowed")
    custom = dense("-".join(str(width) for width in (PIXELS, *widths, CLASSES)), (PIXELS, *widths, CLASSES))
    named = (build() for build in NETWORKS.values())
    return next((network for network in named if network.layers == custom.layers), custom)


def images_of(fraction: float, batch: int = BATCH, count: int = TRAIN_IMAGES) -> int:
    """The number of images in a fraction of `count`.

    Raises ValueError with a one-line message if they do not fill one batch.
    """
    images = round(count * fraction)
    if images < batch:
        least = math.ceil(batch / count * 1e5) / 1e5
        raise ValueError(
            f"{fraction:g} leaves {images} of {count:,} training images, which do not fill one batch of {batch}; "
            f"give at least {least:g}"
        )
    return images


def _network(text: str) -> str:
    """The text unchanged; raises ValueError if it names no network."""
    network_by_name(text)
    return text


def _fraction(value: float) -> float:
    """The fraction unchanged; raises ValueError if its images do not fill one batch."""
    images_of(value)
    return value


NetworkName = Annotated[str, AfterValidator(_network)]


class DistillationSpec(MeasuredSpec):
    """A teacher, a student, and the losses and data to train the student with."""

    teacher: NetworkName = Field(
        "784-512-256-10",
        title="Teacher",
        description="a network by name or hidden widths, such as 512-256; trained once on clean labels and cached",
    )
    student: NetworkName = Field(
        "784-128-10",
        title="Student",
        description="the smaller network, given like the teacher; trained for each seed, alone and distilled",
    )
    temperature: list[Annotated[float, Field(ge=0.1, le=100)]] = Field(
        [3.0],
        min_length=1,
        max_length=8,
        title="Temperatures",
        description="T: divides the logits of both networks; the higher, the more the small probabilities count",
    )
    alpha: list[Annotated[float, Field(ge=0.01, le=1)]] = Field(
        [0.7],
        min_length=1,
        max_length=8,
        title="Alphas",
        description="weight of the teacher in the loss; 1 uses no labels; 0, the student alone, is always measured",
    )
    form: list[Literal["squared", "unsquared"]] = Field(
        ["squared", "unsquared"],
        min_length=1,
        max_length=2,
        title="Forms of the loss",
        description="squared: alpha T² KL + (1 - alpha) cross-entropy; unsquared: without T², as in the course, so "
        "that the teacher's weight shrinks as T grows",
    )
    data_fraction: Annotated[float, AfterValidator(_fraction)] = Field(
        1.0,
        ge=0.001,
        le=1,
        title="Data fraction",
        description=f"share of the {TRAIN_IMAGES:,} training images that the students are trained on",
    )
    label_noise: float = Field(
        0.0,
        ge=0,
        le=0.9,
        title="Label noise",
        description="share of the students' labels that are replaced by wrong ones at random",
    )
    shift: int = Field(
        1,
        ge=0,
        le=2,
        title="Shift [pixels]",
        description="each image is shifted at random by up to this each time it is used",
    )
    seeds: int = Field(
        3,
        ge=3,
        le=20,
        title="Seeds",
        description="students of each kind; initial weights, images, wrong labels and order differ",
    )
    first_seed: int = Field(
        0,
        ge=0,
        le=10_000,
        title="First seed",
        description="first of the random seeds; change it to repeat a finding with other seeds",
    )
    steps: int = Field(
        1300,
        ge=10,
        le=20_000,
        title="Steps",
        description="training steps of 128 images for every student, in whole epochs; a distilled one may need more",
    )
    batch: int = Field(32, ge=1, le=1024, title="Batch size", description="images of one timed call")

    @property
    def configs(self) -> dict[str, DistillationConfig]:
        """The losses compared with the student alone, by name."""
        found = {}
        for form, temperature, alpha in itertools.product(self.form, self.temperature, self.alpha):
            name = f"distilled T={temperature:g} α={alpha:g}"
            name += "" if form == "squared" else f" {UNSQUARED}"
            found[name] = DistillationConfig(temperature, alpha, squared=form == "squared")
        return found

    def need(self) -> Need:
        """Memory for training the larger network."""
        largest = max(parameter_count(network_by_name(text)) for text in (self.teacher, self.student))
        return Need(TRAINING_COPIES * largest, "weights, gradients, moments and masks of the larger network")
