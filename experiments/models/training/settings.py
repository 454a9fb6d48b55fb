"""How a network is trained: the numbers that, with the network and the data, determine its weights."""

from dataclasses import dataclass

VERSION = 1  # of the trainer: raise it when the same settings, data and seed give other weights


@dataclass(frozen=True)
class Settings:
    """Adam with a learning rate that falls linearly from `rate` to 0 over all steps; ValueError where senseless.

    `shift` moves every training image by up to so many pixels in x and y, drawn anew per image and epoch.
    """

    epochs: int = 5
    rate: float = 2e-3
    batch: int = 128
    shift: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch < 1 or not 0 <= self.shift <= 8 or not 0 < self.rate < 1 or self.seed < 0:
            raise ValueError(f"settings that cannot train: {self}")


# Chosen by time and by the validation images; the carried checkpoints were trained with them.
DEFAULTS = {
    "mlp": Settings(epochs=15),
    "lenet_300_100": Settings(epochs=10),
    "cnn": Settings(epochs=12, rate=4e-3),
    "lenet_5": Settings(epochs=5),
}


def default_settings(network: str) -> Settings:
    """The settings for a network of this name."""
    return DEFAULTS.get(network, Settings())
