"""A pruned network as programs to time: as it is stored, and fetching only what is not zero."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from experiments.bench.session import max_abs_error, tolerance
from experiments.models.datasets import Array
from experiments.models.gathering import build_gather
from experiments.models.integer_kernels import build
from experiments.models.networks import Network, forward_numpy
from experiments.models.pruned import Pruned

ATOL, RTOL = 1e-4, 1e-3  # the compiled network against the masked one in numpy float64, of the largest logit


@dataclass(frozen=True)
class Program:
    """A captured program and its inputs; `form` is dense, smaller or gather; its largest error, and if it is wrong."""

    form: str
    function: Callable[[Any], Any]
    jit: Any
    inputs: Any
    error: float
    wrong: bool

    @property
    def call(self) -> Callable[[], Any]:
        """One call of the captured program."""
        return partial(self.jit, self.inputs)


def programs_of(network: Network, name: str, made: Pruned, device: str, images: Array) -> dict[str, Program]:
    """The programs of a pruned form of `network`, by name, on `device`, captured and checked on `images`.

    `name` is the model as its file restores it. `name gather` comes with it where weights are gone and layers are
    sparse enough. They are checked against the whole network with zeros in numpy float64.
    """
    from tinygrad import TinyJit

    from experiments.bench.runtime import tensor

    smaller = made.model.network != network
    functions = {name: ("smaller" if smaller else "dense", build(made.model, device))}
    if not smaller and (gather := build_gather(network, made.weights, device)):
        functions[f"{name} gather"] = ("gather", gather)
    exact = {key: one.astype(np.float64) for key, one in made.weights.items()}
    reference = forward_numpy(network, exact, images.astype(np.float64))[:, made.outputs]
    allowed = tolerance(reference, ATOL, RTOL)
    inputs, programs = tensor(np.ascontiguousarray(images, dtype=np.float32), device), {}
    for key, (form, function) in functions.items():
        jit = TinyJit(function)
        error = max_abs_error([jit(inputs).numpy() for _ in range(3)][-1], reference)
        programs[key] = Program(form, function, jit, inputs, error, error > allowed)
    return programs
