"""The name that release 0.1 documented for `tensor` in user-defined experiments; see `experiments.bench.tinygrad`."""

from experiments.bench.tinygrad.runtime import synchronizer, tensor

__all__ = ["synchronizer", "tensor"]
