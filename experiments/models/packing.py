"""The name that release 0.1 documented for reading packed models; `experiments.models.format.packed` is the module."""

from experiments.models.format.packed import DamagedModel, pack, unpack

__all__ = ["DamagedModel", "pack", "unpack"]
