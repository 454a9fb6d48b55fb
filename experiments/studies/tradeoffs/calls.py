"""The variants of a grid point as calls that can be timed: run eagerly, captured, or captured after a search."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.bench.arrays import Array
from experiments.bench.kernel_search import Optimization, search
from experiments.bench.session import max_abs_error, tolerance

if TYPE_CHECKING:
    from experiments.bench.tinygrad.capture import CallWork
    from experiments.models.builder import BuiltModel


ATOL, RTOL = 1e-4, 1e-3  # the compiled network against its float twin in numpy, of the largest logit


@dataclass(frozen=True)
class Ready:
    """A variant that has been run: its call, the work of one call, its largest error and whether that is too large."""

    call: Callable[[], object]
    work: "CallWork"
    error: float
    wrong: bool


def ready(made: "BuiltModel", execution: str, inputs: Any, images: Array, device: str, search_s: float) -> Ready:
    """The model, executed in this way on `inputs`, which hold `images`; its output is compared with its twin in numpy.

    A BEAM search runs in a process of its own for at most `search_s` seconds, TimeoutError then; what it found is
    applied here, where nothing was searched. Raises whatever tinygrad raises where the model cannot be run.
    """
    from experiments.bench.tinygrad.capture import captured_work
    from experiments.bench.tinygrad.runtime import Counted
    from experiments.models.techniques.quantization.numpy_backend import fake_quantized_forward_numpy
    from experiments.models.techniques.quantization.tinygrad_backend import build_forward

    function = build_forward(made.restored, device)
    reference = fake_quantized_forward_numpy(made.restored, images, len(images))
    if execution == "eager":
        function(inputs)
        with Counted() as counted:
            seen = function(inputs)
        call, work = partial(function, inputs), counted.work
    else:
        jit = _captured(made, execution, function, inputs, device, search_s)
        seen = jit(inputs)  # what is checked is a replay
        call, work = partial(jit, inputs), captured_work(jit)
    error = max_abs_error(seen.numpy(), reference)
    return Ready(call, work, error, error > tolerance(reference, ATOL, RTOL))


def _captured(made: "BuiltModel", execution: str, function: Any, inputs: Any, device: str, search_s: float) -> Any:
    """The TinyJit of `function`, captured on `inputs`."""
    from tinygrad import TinyJit

    from experiments.bench.tinygrad.kernel_search import applied

    jit, chosen, variant = TinyJit(function), {}, Optimization()
    if width := execution.partition("=")[2]:
        variant = Optimization(int(width))
        found = search(device, f"{__name__}:prepared", variant, search_s, recipe=made.recipe.json(), batch=len(inputs))
        if found.ended == "timeout":
            raise TimeoutError(f"the search had not ended after {search_s:g} s")
        if found.ended == "failed":
            raise RuntimeError(found.cause)
        chosen = found.chosen
    with applied(variant, chosen):
        for _ in range(2):
            jit(inputs)
    return jit


def prepared(device: str, recipe: str, batch: int) -> Callable[[], object]:
    """In the process that searches: the kept model of a recipe as a call on `batch` images."""
    from experiments.bench.tinygrad.runtime import tensor
    from experiments.models.builder import build_model
    from experiments.models.data.mnist import mnist
    from experiments.models.recipe import from_json
    from experiments.models.techniques.quantization.tinygrad_backend import build_forward

    inputs = tensor(np.ascontiguousarray(mnist().test.images[:batch]), device)
    return partial(build_forward(build_model(from_json(recipe), device).restored, device), inputs)
