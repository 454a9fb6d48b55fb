"""How a network is trained, and what that costs: settings and measured times by network."""

from collections.abc import Callable
from dataclasses import dataclass

VERSION = 1  # of the trainer: raise it when the same settings, data and seed give other weights

EpochRecord = dict[str, float]  # epoch, train_loss, validation_accuracy (0..1), learning_rate
TrainingProgress = Callable[[float, str, EpochRecord | None], None]  # fraction, message, record after an epoch


@dataclass(frozen=True)
class Settings:
    """Adam with a learning rate that falls linearly from `rate` to 0 over all steps; raises ValueError if impossible.

    `shift` moves each training image by up to this many pixels in x and y, sampled per image and epoch.
    """

    epochs: int = 5
    rate: float = 2e-3
    batch: int = 128
    shift: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch < 1 or not 0 <= self.shift <= 8 or not 0 < self.rate < 1 or self.seed < 0:
            raise ValueError(f"settings that cannot train: {self}")


# Chosen by time and by the validation images; the bundled checkpoints were trained with them.
DEFAULTS = {
    "mlp": Settings(epochs=15),
    "lenet_300_100": Settings(epochs=10),
    "cnn": Settings(epochs=12, rate=4e-3),
    "lenet_5": Settings(epochs=5),
}

# For estimates: seconds measured on 2 CPU cores.
STEP_S = {"mlp": 0.004, "lenet_300_100": 0.009, "cnn": 0.037, "lenet_5": 0.13}  # one training step
TEST_S = {"mlp": 1.5, "lenet_300_100": 4.0, "cnn": 4.0, "lenet_5": 12.0}  # pack, restore, classify 15,000 images
TRAINING_STEPS = {"mlp": 6400, "lenet_300_100": 4300, "cnn": 5100, "lenet_5": 2100}
COMPILE_S, CALL_S = 8.0, 1.5  # compilation of a training step; measurement of a variant's call


def default_settings(network: str) -> Settings:
    """The settings for a network of this name."""
    return DEFAULTS.get(network, Settings())
